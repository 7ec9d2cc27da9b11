//! Every hypercall, on a board without a simulator.
//!
//! [`cases`] holds one list of cases a group of calls: each makes one call and says how it
//! must end. The tests of [`coverage`] demand a case for every success, for every error that
//! a call's row documents and for the order of each two of them; compare what every case did
//! with a snapshot a call; and keep the book's table. [`behaviour`] is what takes more than
//! one call.

mod behaviour;
mod case;
mod cases;
mod coverage;
