//! Engines: run a strand for a budget, say why it stopped.
