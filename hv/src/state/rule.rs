//! From a record to a guest's state, rule by rule.

use super::{
    ConsoleV1, CryptoV1, EndpointV1, GuestV1, InterruptV1, Loaded, NetworkV1, PacketQueueV1, PciV1,
    PermanentV1, TrapTraceV1, VcpuV1, broken, check,
};
use crate::api::Api;
use crate::console::{Console, IN_CHARS, Input, OUT_PACKETS, PACKET_CHARS};
use crate::crypto::{CryptoQueue, WORD_BYTES, entries_max, queue_type};
use crate::guest::{DUMP_BYTES_MIN, DumpBuffer, Guest, SoftState};
use crate::intr::{Interrupt, IntrState};
use crate::ldc::{Endpoint, MapTable, PacketQueue};
use crate::mmu::{PERMANENT_MAX, Permanent};
use crate::niu::{CHANNELS, NetworkUnit, PAGES, Page, PageId, UNIT_BYTES};
use crate::pci::{
    EventQueue, IOMMU_ENTRIES, MESSAGES, PciBus, QUEUE_BYTES, QUEUES, QueueState, RECORD_BYTES,
    Route,
};
use crate::ttrace::TrapBuffer;
use crate::vcpu::{QueueMemory, Vcpu, VcpuState};
use crate::watchdog::TIMEOUT_SECS_MAX;
use std::collections::{BTreeMap, BTreeSet};
use sun4v::addr::{PAGE_BYTES, Pa, PageSize, Ra};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CoreId, LdcId, VcpuId};
use sun4v::mmu::{TagContext, Tsb, Tte, TteFlags};
use sun4v::record::{LoadError, StrandV1, TsbV1};
use sun4v::ttrace::{SLOT_BYTES, SLOTS_MIN};

type Checked<T> = Result<T, LoadError>;

/// The guest whose shape a record must have.
pub(super) struct Shape<'a>(pub &'a Guest);

impl Shape<'_> {
    /// The state that a record and the strands' records say.
    pub(super) fn state(&self, record: GuestV1, strands: &[StrandV1]) -> Checked<Loaded> {
        let GuestV1 {
            clock: _, // any clock is one
            api,
            soft_state,
            soft_text,
            vcpus,
            permanent,
            interrupts,
            endpoints,
            console,
            crypto,
            sequence,
            watchdog,
            trace_frozen,
            dump,
            pci,
            network,
        } = record;
        check(watchdog <= TIMEOUT_SECS_MAX + 1, "a watchdog of more than a year")?;
        let soft_state = SoftState { state: soft_state, text: soft_text };
        check(matches!(soft_state.state, 1 | 2), "no such soft state")?;
        check(soft_state.text.contains(&0), "a soft state text without an end")?;
        Ok(Loaded {
            api: Api::load(&api).ok_or(broken("an API version that does not exist"))?,
            soft_state,
            vcpus: self.vcpus(&vcpus, strands)?,
            permanent: self.permanents(&permanent)?,
            interrupts: self.interrupts(&interrupts)?,
            endpoints: self.endpoints(&endpoints)?,
            console: self.console(console)?,
            crypto: self.crypto(&crypto)?,
            sequence,
            watchdog,
            trace_frozen,
            dump: dump.map(|(ra, bytes)| self.dump(ra, bytes)).transpose()?,
            pci: self.pci(pci)?,
            network: self.network(network)?,
        })
    }

    fn resolve(&self, ra: Ra, bytes: u64, why: &'static str) -> Checked<Pa> {
        self.0.map.resolve(ra, bytes).ok_or(broken(why))
    }

    fn dump(&self, ra: Ra, bytes: u64) -> Checked<DumpBuffer> {
        check(bytes >= DUMP_BYTES_MIN && ra.is_aligned(64), "a dump buffer out of shape")?;
        self.resolve(ra, bytes, "a dump buffer outside memory")?;
        Ok(DumpBuffer { ra, bytes })
    }

    fn trap_buffer(&self, record: &TrapTraceV1) -> Checked<TrapBuffer> {
        let TrapTraceV1 { ra, entries, next, on } = *record;
        let bytes = entries.checked_mul(SLOT_BYTES).filter(|_| entries >= SLOTS_MIN);
        let bytes = bytes.ok_or(broken("a trap trace buffer out of shape"))?;
        check(ra.is_aligned(SLOT_BYTES), "a trap trace buffer that is not aligned")?;
        let inside = next.is_multiple_of(SLOT_BYTES) && (SLOT_BYTES..bytes).contains(&next);
        check(inside, "a trap trace buffer's next record")?;
        let pa = self.resolve(ra, bytes, "a trap trace buffer outside memory")?;
        Ok(TrapBuffer { ra, pa, entries, next, on })
    }

    fn vcpu_id(&self, id: u8) -> Checked<VcpuId> {
        let id = VcpuId(id);
        check(self.0.vcpus.contains_key(&id), "a virtual CPU that does not exist")?;
        Ok(id)
    }

    fn vcpus(&self, records: &[VcpuV1], strands: &[StrandV1]) -> Checked<BTreeMap<VcpuId, Vcpu>> {
        let ids = || records.iter().map(|vcpu| VcpuId(vcpu.id));
        check(ids().eq(self.0.vcpus.keys().copied()), "other virtual CPUs than the guest's")?;
        let pairs = records.iter().zip(strands);
        pairs.map(|(vcpu, strand)| Ok((VcpuId(vcpu.id), self.vcpu(vcpu, strand)?))).collect()
    }

    fn vcpu(&self, record: &VcpuV1, strand: &StrandV1) -> Checked<Vcpu> {
        let VcpuV1 { id, state, rtba, fault_area, queues, mailbox, trap_trace } = record;
        let old = self.0.vcpus.get(&VcpuId(*id));
        let state = match state {
            1 => VcpuState::Stopped,
            2 => VcpuState::Running,
            3 => VcpuState::Error,
            _ => return Err(broken("no such state of a virtual CPU")),
        };
        let runs = state == VcpuState::Running;
        check(runs != strand.stopped, "a virtual CPU and its strand disagree")?;
        check(runs || !strand.parked, "a virtual CPU that is parked and does not run")?;
        check(rtba.is_multiple_of(256), "a trap base that is not aligned")?;
        if *rtba != 0 {
            self.resolve(Ra(*rtba), 256, "a trap base outside memory")?;
        }
        let empty = fault_area.is_none() && queues.iter().all(Option::is_none);
        let empty = empty && trap_trace.is_none();
        check(state != VcpuState::Stopped || empty, "a stopped virtual CPU with queues")?;
        let fault_area = match *fault_area {
            None => None,
            Some(ra) => {
                check(ra.is_aligned(64), "a fault area that is not aligned")?;
                Some((ra, self.resolve(ra, 0x80, "a fault area outside memory")?))
            }
        };
        let mut memory = [None; 4];
        for (place, queue) in memory.iter_mut().zip(queues) {
            let Some((ra, entries)) = *queue else { continue };
            let shaped = entries.is_power_of_two() && (2..=4096).contains(&entries);
            check(shaped && ra.is_aligned(entries * 64), "a queue out of shape")?;
            let pa = self.resolve(ra, entries * 64, "a queue outside memory")?;
            *place = Some(QueueMemory { ra, pa, entries });
        }
        let class = |tsbs: &[TsbV1]| -> Checked<Vec<Tsb>> {
            check(tsbs.len() <= 4, "more than four TSBs of a class")?;
            tsbs.iter().map(|tsb| self.tsb(tsb)).collect()
        };
        Ok(Vcpu {
            strand: old.map(|vcpu| vcpu.strand).unwrap_or_default(),
            state,
            rtba: *rtba,
            fault_area,
            queues: memory,
            tsbs: [class(&strand.tsbs[0])?, class(&strand.tsbs[1])?],
            mailbox: mailbox
                .map(|words| std::array::from_fn(|at| words[at / 8].to_be_bytes()[at % 8])),
            trap_trace: trap_trace.map(|buffer| self.trap_buffer(&buffer)).transpose()?,
            figures: Default::default(),
        })
    }

    fn tsb(&self, record: &TsbV1) -> Checked<Tsb> {
        let TsbV1 { ra, entries, index_size, size_mask, context } = *record;
        let shaped = entries.is_power_of_two() && (512..=512 << 15).contains(&entries);
        let bytes = u64::from(entries) * 16;
        check(shaped && ra.is_aligned(bytes), "a TSB out of shape")?;
        self.resolve(ra, bytes, "a TSB outside memory")?;
        let size = PageSize::from_code(index_size.into());
        let index_size = size.ok_or(broken("a TSB of a page size that T2 lacks"))?;
        let own = 1u8 << index_size as u8;
        check(size_mask & own != 0 && size_mask & (own - 1) == 0, "a TSB's sizes")?;
        // No call makes one whose contexts are compared.
        let context = TagContext::from_code(context).filter(|&c| c != TagContext::Compared);
        let context = context.ok_or(broken("a TSB of unknown contexts"))?;
        Ok(Tsb { ra, entries, index_size, size_mask, context })
    }

    fn permanents(&self, records: &[PermanentV1]) -> Checked<Vec<Permanent>> {
        check(records.len() <= PERMANENT_MAX, "too many permanent mappings")?;
        let places: BTreeSet<u64> = records.iter().map(|slot| slot.va).collect();
        check(places.len() == records.len(), "a permanent mapping twice")?;
        records.iter().map(|slot| self.permanent(slot)).collect()
    }

    fn permanent(&self, record: &PermanentV1) -> Checked<Permanent> {
        let PermanentV1 { va, tte, instruction, data } = record;
        let (va, tte) = (*va, Tte(*tte));
        check(tte.flags().contains(TteFlags::V), "a permanent mapping that is not valid")?;
        let bytes = tte.size().map(PageSize::bytes);
        let bytes = bytes.ok_or(broken("a permanent mapping of a page size that T2 lacks"))?;
        let canonical = (va.cast_signed() << 16 >> 16).cast_unsigned() == va;
        check(canonical && va & (bytes - 1) == 0, "a permanent mapping out of shape")?;
        check(tte == tte.on_page(), "a permanent mapping from within a page")?;
        let pa = self.resolve(tte.ra(), bytes, "a permanent mapping outside memory")?;
        let users = |ids: &[u8]| -> Checked<BTreeSet<VcpuId>> {
            let sorted = ids.is_sorted_by(|a, b| a < b);
            check(sorted, "users of a permanent mapping out of order")?;
            ids.iter().map(|&id| self.vcpu_id(id)).collect()
        };
        let (instruction, data) = (users(instruction)?, users(data)?);
        check(!instruction.is_empty() || !data.is_empty(), "a permanent mapping of nobody")?;
        Ok(Permanent { va, tte, pa, instruction, data })
    }

    fn interrupt(&self, record: &InterruptV1) -> Checked<Interrupt> {
        let InterruptV1 { cookie, valid, state, target } = *record;
        let state = IntrState::from_number(state.into());
        Ok(Interrupt {
            cookie,
            valid,
            state: state.ok_or(broken("no such state of an interrupt"))?,
            target: target.map(|id| self.vcpu_id(id)).transpose()?,
        })
    }

    fn interrupts(&self, records: &[(u16, InterruptV1)]) -> Checked<BTreeMap<u16, Interrupt>> {
        self.sources(records, &self.0.interrupts)
    }

    /// Interrupts that have the numbers of `own`.
    fn sources(
        &self,
        records: &[(u16, InterruptV1)],
        own: &BTreeMap<u16, Interrupt>,
    ) -> Checked<BTreeMap<u16, Interrupt>> {
        let inos = records.iter().map(|(ino, _)| ino);
        check(inos.eq(own.keys()), "other devices than the guest's")?;
        records.iter().map(|(ino, intr)| Ok((*ino, self.interrupt(intr)?))).collect()
    }

    fn endpoints(&self, records: &[EndpointV1]) -> Checked<BTreeMap<LdcId, Endpoint>> {
        let own = self.0.endpoints.values().filter(|end| !end.conf.private_console);
        let own = own.map(|end| (end.conf.channel.0, (end.conf.tx_ino, end.conf.rx_ino)));
        let theirs = records.iter().map(|end| (end.channel, end.inos));
        check(theirs.eq(own), "other channels than the guest's")?;
        let loaded = records.iter().map(|record| {
            let EndpointV1 { channel, inos: _, tx, rx, table, tx_intr, rx_intr } = record;
            let channel = LdcId(*channel);
            let old = self.0.endpoints.get(&channel);
            let old = old.ok_or(broken("other channels than the guest's"))?;
            let table = table.map(|(ra, entries)| self.table(ra, entries)).transpose()?;
            let endpoint = Endpoint {
                tx: self.packets(tx)?,
                rx: self.packets(rx)?,
                table,
                tx_intr: self.interrupt(tx_intr)?,
                rx_intr: self.interrupt(rx_intr)?,
                ..Endpoint::new(old.conf)
            };
            Ok((channel, endpoint))
        });
        loaded.collect()
    }

    fn packets(&self, record: &PacketQueueV1) -> Checked<PacketQueue> {
        let PacketQueueV1 { ra, entries, head, tail } = *record;
        if entries == 0 {
            // The tail outlives the memory; only equal offsets make sense.
            check(head == tail && tail.is_multiple_of(64), "a queue without memory, not empty")?;
            return Ok(PacketQueue { ra, pa: Pa(0), entries, head, tail });
        }
        let bytes = entries.checked_mul(64).filter(|_| entries.is_power_of_two());
        let bytes = bytes.ok_or(broken("a packet queue out of shape"))?;
        check(ra.is_aligned(bytes), "a packet queue that is not aligned")?;
        let inside = |at: u64| at.is_multiple_of(64) && at < bytes;
        check(inside(head) && inside(tail), "a packet queue's offsets")?;
        let pa = self.resolve(ra, bytes, "a packet queue outside memory")?;
        Ok(PacketQueue { ra, pa, entries, head, tail })
    }

    fn table(&self, ra: Ra, entries: u64) -> Checked<MapTable> {
        let shaped = entries.is_power_of_two() && (2..0x4000_0000).contains(&entries);
        check(shaped && ra.is_aligned(64), "a map table out of shape")?;
        let pa = self.resolve(ra, entries * 16, "a map table outside memory")?;
        Ok(MapTable { ra, pa, entries })
    }

    fn console(&self, record: Option<ConsoleV1>) -> Checked<Option<Console>> {
        let (record, own) = match (record, &self.0.console) {
            (None, None) => return Ok(None),
            (Some(record), Some(own)) if record.ino == own.conf.ino => (record, own),
            _ => return Err(broken("another console than the guest's")),
        };
        let ConsoleV1 { ino: _, output, input, blocked } = record;
        let piece = |piece: &Vec<u8>| (1..=PACKET_CHARS).contains(&piece.len());
        check(output.len() <= OUT_PACKETS && output.iter().all(piece), "console output")?;
        check(input.len() <= IN_CHARS, "console input")?;
        let input = input.into_iter().map(|number| match (u8::try_from(number), number) {
            (Ok(byte), _) => Ok(Input::Char(byte)),
            (_, 0x100) => Ok(Input::Break),
            (_, 0x101) => Ok(Input::HangUp),
            _ => Err(broken("console input that is no character")),
        });
        let mut console = Console {
            conf: own.conf,
            output: output.into(),
            input: input.collect::<Checked<_>>()?,
            connected: own.connected,
            blocked,
            full: false,
        };
        // The next read looks whether anything waits.
        console.full = !console.has_room();
        Ok(Some(console))
    }

    fn crypto(&self, records: &[CryptoV1]) -> Checked<BTreeMap<u64, CryptoQueue>> {
        let loaded = records.iter().map(|record| {
            let CryptoV1 { kind, core, ino, ra, entries, head, marker, vcpu } = *record;
            let core = CoreId(core);
            let kinds = [CryptoKind::Mau, CryptoKind::Cwq];
            let kind = kinds.into_iter().find(|&known| queue_type(known) == u64::from(kind));
            let kind = kind.ok_or(broken("no such kind of crypto unit"))?;
            let handle = CryptoQueue::handle(kind, core);
            let own = self.0.crypto.get(&handle).filter(|unit| unit.ino == ino);
            check(own.is_some(), "a crypto unit that the guest does not have")?;
            check((1..=entries_max(kind)).contains(&entries), "a crypto queue out of shape")?;
            let bytes = entries * WORD_BYTES;
            // Version 1.0 gives queues of descriptors any length, at any doubleword.
            let shaped = match kind {
                CryptoKind::Mau => ra.is_aligned(8),
                CryptoKind::Cwq => {
                    entries >= 2 && entries.is_power_of_two() && ra.is_aligned(bytes)
                }
            };
            check(shaped, "a crypto queue out of shape")?;
            let inside = |at: u64| at.is_multiple_of(WORD_BYTES) && at < bytes;
            check(inside(head) && inside(marker), "a crypto queue's offsets")?;
            let pa = self.resolve(ra, bytes, "a crypto queue outside memory")?;
            let vcpu = self.vcpu_id(vcpu)?;
            let empty = CryptoQueue::new(kind, core, ino);
            let tail = head;
            let unit =
                CryptoQueue { ra, pa, entries, head, tail, given: head, marker, vcpu, ..empty };
            Ok((handle, unit))
        });
        let loaded: BTreeMap<_, _> = loaded.collect::<Checked<_>>()?;
        check(loaded.len() == records.len(), "a crypto queue twice")?;
        Ok(loaded)
    }

    fn pci(&self, record: Option<PciV1>) -> Checked<Option<PciBus>> {
        let (record, own) = match (record, &self.0.pci) {
            (None, None) => return Ok(None),
            (Some(record), Some(own)) if record.handle == own.conf.handle => (record, own),
            _ => return Err(broken("another PCI bus than the guest's")),
        };
        let PciV1 { handle: _, pages, queues, msis, messages, perf, interrupts } = record;
        let mut bus = PciBus::new(own.conf);
        check(ascending(pages.iter().map(|page| page.0)), "mapped pages out of order")?;
        for (place, ra, attributes) in pages {
            check(u64::from(place) < IOMMU_ENTRIES, "a mapped page outside the table")?;
            check(matches!(attributes, 1 | 3), "a mapped page of no such attributes")?;
            check(ra.is_aligned(PAGE_BYTES), "a mapped page that is not aligned")?;
            self.resolve(ra, PAGE_BYTES, "a mapped page outside memory")?;
            bus.map(place, ra, attributes);
        }
        check(ascending(queues.iter().map(|queue| queue.0)), "event queues out of order")?;
        for (number, base, state, head) in queues {
            check(u64::from(number) < QUEUES, "an event queue that does not exist")?;
            let state = QueueState::from_number(state);
            let state = state.ok_or(broken("no such state of an event queue"))?;
            if let Some(base) = base {
                check(base.is_aligned(QUEUE_BYTES), "an event queue that is not aligned")?;
                self.resolve(base, QUEUE_BYTES, "an event queue outside memory")?;
            }
            let there = base.is_some() || state != QueueState::Active;
            check(there, "a valid event queue without memory")?;
            let inside = head.is_multiple_of(RECORD_BYTES) && head < QUEUE_BYTES;
            check(inside, "an event queue's head")?;
            let queue = EventQueue { base, state, head };
            check(queue != EventQueue::default(), "an event queue as a reset leaves it")?;
            bus.set_queue(number, queue);
        }
        check(ascending(msis.iter().map(|msi| msi.0)), "MSIs out of order")?;
        for (number, valid, queue) in msis {
            check(u64::from(queue) < QUEUES, "an MSI to a queue that does not exist")?;
            let route = Route { valid, queue };
            check(route != Route::default(), "an MSI as a reset leaves it")?;
            bus.set_msi(number, route);
        }
        check(ascending(messages.iter().map(|message| message.0)), "messages out of order")?;
        for (code, valid, queue) in messages {
            check(MESSAGES.contains(&code), "a message that does not exist")?;
            check(u64::from(queue) < QUEUES, "a message to a queue that does not exist")?;
            let route = Route { valid, queue };
            check(route != Route::default(), "a message as a reset leaves it")?;
            bus.set_message(code, route);
        }
        check(PciBus::perf_can_be(&perf), "performance registers with bits that they lack")?;
        bus.perf = perf;
        bus.interrupts = self.sources(&interrupts, &own.interrupts)?;
        Ok(Some(bus))
    }

    fn network(&self, record: Option<NetworkV1>) -> Checked<Option<NetworkUnit>> {
        let (record, own) = match (record, &self.0.network) {
            (None, None) => return Ok(None),
            (Some(record), Some(own)) if record.handle == own.conf.handle => (record, own),
            _ => return Err(broken("another network unit than the guest's")),
        };
        let NetworkV1 { handle: _, pages, interrupts } = record;
        let mut unit = NetworkUnit::new(own.conf);
        check(ascending(pages.iter().map(|page| page.0)), "logical pages out of order")?;
        for ((transmit, channel, page), ra, bytes) in pages {
            let there = u64::from(channel) < CHANNELS && u64::from(page) < PAGES;
            check(there, "a logical page that does not exist")?;
            let shaped = bytes.is_power_of_two() && bytes >= UNIT_BYTES && ra.is_aligned(bytes);
            check(shaped, "a logical page out of shape")?;
            self.resolve(ra, bytes, "a logical page outside memory")?;
            unit.pages.insert(PageId { transmit, channel, page }, Page::new(ra, bytes));
        }
        unit.interrupts = self.sources(&interrupts, &own.interrupts)?;
        Ok(Some(unit))
    }
}

/// Each once, in order.
fn ascending<T: PartialOrd>(mut values: impl Iterator<Item = T>) -> bool {
    let Some(mut last) = values.next() else { return true };
    values.all(|value| {
        let above = last < value;
        last = value;
        above
    })
}
