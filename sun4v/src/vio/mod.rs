//! Virtual I/O messages: virtual network and virtual disk.
