//! Physical memory of a chassis, and its dirty log.
