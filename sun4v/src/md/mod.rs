//! Machine descriptions: the binary graph, its reader and its builder.
