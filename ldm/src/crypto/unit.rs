//! One crypto unit: its queue, its interrupt, and what it is doing.

use super::Operation;
use crate::memory::{Arena, Block};
use std::collections::VecDeque;
use sun4v::hcall::HvError;
use sun4v::id::VcpuId;
use sun4v::native::Ports;
use sun4v::ncs::{
    CWQ_ENTRIES_MAX, Control, ENTRY_BYTES, Entry, NCS_GETHEAD, NCS_QCONF, NCS_QHANDLE_TO_DEVINO,
    NCS_SETHEAD_MARKER, NCS_SETTAIL, QTYPE_CWQ,
};

/// The node that the units' interrupts belong to.
const CFG_HANDLE: u64 = 0x100;
const INTR_DEVINO2SYSINO: u64 = 0xa0;
const INTR_SETENABLED: u64 = 0xa2;
const INTR_SETSTATE: u64 = 0xa4;
const INTR_SETTARGET: u64 = 0xa6;
const INTR_IDLE: u64 = 0;
const QUEUE_BYTES: u64 = CWQ_ENTRIES_MAX * ENTRY_BYTES;

/// A unit.
pub struct Unit {
    handle: u64,
    vcpu: VcpuId,
    queue: Block,
    /// Byte offset behind the last entry.
    tail: u64,
    /// Byte offset of the first entry that was not collected.
    head: u64,
    running: VecDeque<(Operation, Block, usize)>,
    /// Its interrupt's number in the whole domain.
    sysino: Option<u64>,
}

impl Unit {
    /// Gives the unit of a vCPU's core a queue, when the domain owns that unit and
    /// it has none yet.
    pub fn open(ports: &mut dyn Ports, arena: &mut Arena, vcpu: VcpuId, units: &mut Vec<Self>) {
        let Some(queue) = arena.alloc(QUEUE_BYTES) else { return };
        let args = [QTYPE_CWQ, queue.ra.0, CWQ_ENTRIES_MAX, 0, 0];
        let Ok([handle, ..]) = ports.hcall_on(vcpu, NCS_QCONF, args) else {
            arena.free(queue);
            return;
        };
        if let Some(unit) = units.iter_mut().find(|unit| unit.handle == handle) {
            // Another vCPU of the same core: the queue has moved to what it gave.
            arena.free(std::mem::replace(&mut unit.queue, queue));
            (unit.vcpu, unit.head, unit.tail) = (vcpu, 0, 0);
            return;
        }
        units.push(Self {
            handle,
            vcpu,
            queue,
            tail: 0,
            head: 0,
            running: VecDeque::new(),
            sysino: None,
        });
    }

    /// Takes its queue from it, which is empty; when that is refused, it stays as it is.
    pub fn close(self, ports: &mut dyn Ports, arena: &mut Arena) -> Result<(), (Self, HvError)> {
        if let Err(why) = ports.hcall(NCS_QCONF, [QTYPE_CWQ, self.handle, 0, 0, 0]) {
            return Err((self, why));
        }
        if let Some(sysino) = self.sysino {
            let _ = ports.hcall(INTR_SETENABLED, [sysino, 0, 0, 0, 0]);
        }
        arena.free(self.queue);
        Ok(())
    }

    /// Asks for its interrupt. Without one it is looked after by timer.
    pub fn listen(&mut self, ports: &mut dyn Ports) {
        self.mark(ports);
        let asked = |ports: &mut dyn Ports| -> Result<u64, HvError> {
            let [ino, ..] = ports.hcall(NCS_QHANDLE_TO_DEVINO, [self.handle, 0, 0, 0, 0])?;
            let [sysino, ..] = ports.hcall(INTR_DEVINO2SYSINO, [CFG_HANDLE, ino, 0, 0, 0])?;
            for (call, value) in [(INTR_SETTARGET, 0), (INTR_SETSTATE, INTR_IDLE)] {
                ports.hcall(call, [sysino, value, 0, 0, 0])?;
            }
            ports.hcall(INTR_SETENABLED, [sysino, 1, 0, 0, 0])?;
            Ok(sysino)
        };
        self.sysino = asked(ports).ok();
    }

    /// What its mondos say: its interrupt's number.
    pub fn sysino(&self) -> Option<u64> {
        self.sysino
    }

    /// Its interrupt was seen: the next one may come.
    pub fn acknowledge(&mut self, ports: &mut dyn Ports) {
        self.mark(ports);
        if let Some(sysino) = self.sysino {
            let _ = ports.hcall(INTR_SETSTATE, [sysino, INTR_IDLE, 0, 0, 0]);
        }
    }

    /// Says that everything done so far was seen.
    fn mark(&self, ports: &mut dyn Ports) {
        if let Ok([head, ..]) = ports.hcall(NCS_GETHEAD, [self.handle, 0, 0, 0, 0]) {
            let _ = ports.hcall(NCS_SETHEAD_MARKER, [self.handle, head, 0, 0, 0]);
        }
    }

    /// Entries that it was given and that were not collected.
    pub fn outstanding(&self) -> usize {
        self.running.iter().map(|&(.., entries)| entries).sum()
    }

    /// Does it take so many more? One entry always stays free.
    pub fn has_room(&self, entries: usize) -> bool {
        self.outstanding() + entries < CWQ_ENTRIES_MAX as usize
    }

    /// Gives it an operation's control words.
    pub fn submit(
        &mut self,
        ports: &mut dyn Ports,
        words: &[Entry],
        operation: Operation,
        slot: Block,
    ) -> Result<(), (Operation, HvError)> {
        let mut tail = self.tail;
        for word in words {
            ports.write(self.queue.at(tail), &word.to_bytes());
            tail = (tail + ENTRY_BYTES) % QUEUE_BYTES;
        }
        let args = [self.handle, tail, 0, 0, 0];
        match ports.hcall_on(self.vcpu, NCS_SETTAIL, args) {
            Ok(_) => {
                self.tail = tail;
                self.running.push_back((operation, slot, words.len()));
                Ok(())
            }
            Err(why) => Err((operation, why)),
        }
    }

    /// Operations that have ended, and whether well.
    pub fn finished(&mut self, ports: &mut dyn Ports) -> Vec<(Operation, Block, bool)> {
        let mut finished = Vec::new();
        while let Some(&(.., entries)) = self.running.front() {
            let words: Vec<Control> = (0..entries as u64)
                .map(|n| {
                    let mut word = [0; 8];
                    ports.read(
                        self.queue.at((self.head + n * ENTRY_BYTES) % QUEUE_BYTES),
                        &mut word,
                    );
                    Control(u64::from_be_bytes(word))
                })
                .collect();
            if !words.iter().all(|word| word.has(Control::DONE)) {
                break;
            }
            let errors = Control::PROTOCOL_ERROR | Control::HARDWARE_ERROR;
            let ok = words.iter().all(|word| word.0 & errors == 0);
            self.head = (self.head + entries as u64 * ENTRY_BYTES) % QUEUE_BYTES;
            if let Some((operation, slot, _)) = self.running.pop_front() {
                finished.push((operation, slot, ok));
            }
        }
        finished
    }
}
