//! Descriptions, as text.
