//! The logical domains manager, its services, and migration.

#![forbid(unsafe_code)]
