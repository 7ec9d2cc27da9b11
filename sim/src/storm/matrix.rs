//! Every entry and every frame, with every fault.
