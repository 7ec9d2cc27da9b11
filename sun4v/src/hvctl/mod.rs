//! hvctl: what the manager and the hypervisor say to each other.
