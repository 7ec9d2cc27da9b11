//! Logical domain channels: packets, map tables, cookies.
