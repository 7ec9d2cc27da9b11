//! The lab's other hosts: storage, workstation, pinger.
