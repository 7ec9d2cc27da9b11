//! Virtual wires: links, switches, captures.
