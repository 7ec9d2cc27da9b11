//! From instructions to a block.

use super::alternate;
use super::block::{Block, INSNS_MAX, Link};
use super::float::float as float_op;
use super::memory;
use super::op::{self, ANY, G, Handler, I, Op, SLOT, W};
use super::{transfer, trap};
use crate::chip::regs::SINK;
use crate::chip::strand::canonical;
use crate::engine::alu::{is_alu, is_conditional};
use crate::engine::class::Class;
use crate::engine::code::PAGE_INSNS;
use crate::engine::exec::Run;
use crate::engine::insn::{Insn, Kind};
use sun4v::isa::{Op as Row, Word};

/// Where an operand lies, and its number there.
type Place = (u8, u8);

fn source(n: u8) -> Place {
    if n < 8 { (G, n) } else { (W, n - 8) }
}

fn destination(n: u8) -> Place {
    if n == 0 { (G, SINK as u8) } else { source(n) }
}

fn second(insn: Insn) -> Place {
    if insn.rs2 == 0 { (I, 0) } else { source(insn.rs2) }
}

/// A function by where its operands lie: sources, destination.
macro_rules! by_place {
    ($f:path, [$($k:expr)?], $a:expr, $b:expr, $d:expr) => {{
        use $f as f;
        match ($a, $b, $d) {
            (G, G, G) => f::<$({$k},)? G, G, G> as Handler,
            (G, G, _) => f::<$({$k},)? G, G, W>,
            (G, W, G) => f::<$({$k},)? G, W, G>,
            (G, W, _) => f::<$({$k},)? G, W, W>,
            (G, _, G) => f::<$({$k},)? G, I, G>,
            (G, _, _) => f::<$({$k},)? G, I, W>,
            (_, G, G) => f::<$({$k},)? W, G, G>,
            (_, G, _) => f::<$({$k},)? W, G, W>,
            (_, W, G) => f::<$({$k},)? W, W, G>,
            (_, W, _) => f::<$({$k},)? W, W, W>,
            (_, _, G) => f::<$({$k},)? W, I, G>,
            (_, _, _) => f::<$({$k},)? W, I, W>,
        }
    }};
}

macro_rules! by_kind {
    ($kind:expr, [$($name:ident)*], $k:ident => $then:expr, $else:expr) => {
        match $kind {
            $(Kind::$name => {
                const $k: u8 = Kind::$name as u8;
                $then
            })*
            _ => $else,
        }
    };
}

/// What executes a row that has no kind.
fn by_row(row: Row) -> Handler {
    match row {
        Row::LdubA => alternate::lduba,
        Row::LduhA => alternate::lduha,
        Row::LduwA => alternate::lduwa,
        Row::LdxA => alternate::ldxa,
        Row::LdsbA => alternate::ldsba,
        Row::LdshA => alternate::ldsha,
        Row::LdswA => alternate::ldswa,
        Row::StbA => alternate::stba,
        Row::SthA => alternate::stha,
        Row::StwA => alternate::stwa,
        Row::StxA => alternate::stxa,
        Row::LdtwA => alternate::load_pair,
        Row::LddfA => alternate::block::<false>,
        Row::StdfA => alternate::block::<true>,
        Row::FalignData => alternate::vis::<{ Row::FalignData as usize }>,
        Row::Fsrc1D => alternate::vis::<{ Row::Fsrc1D as usize }>,
        Row::Fsrc2D => alternate::vis::<{ Row::Fsrc2D as usize }>,
        Row::FzeroD => alternate::vis::<{ Row::FzeroD as usize }>,
        _ => op::slow,
    }
}

/// The op of an instruction that is no transfer.
fn plain(insn: Insn, at: u8) -> Option<Op> {
    let Insn { kind, rd, rs1, rs2, imm } = insn;
    let ((a_place, a), (b_place, b), (d_place, d)) = (source(rs1), second(insn), destination(rd));
    let placed = |run: Handler| Op { run, rd: d, a, b, at, imm };
    let numbered = |run: Handler| Op { run, rd, a: rs1, b: rs2, at, imm };
    Some(match kind {
        Kind::Nop => return None,
        Kind::Undecoded | Kind::Illegal => numbered(op::illegal),
        Kind::Slow => {
            let word = Word(imm as u32);
            let (run, rd): (Handler, u8) = match insn.op() {
                Row::Tcc if word.cond() == 8 && word.i() && word.rs1() == 0 => {
                    (trap::trap_always, 0)
                }
                Row::Done => (trap::leave_trap, 1),
                Row::Retry => (trap::leave_trap, 0),
                // Caches are coherent and memory is in order: nothing to do.
                Row::Stbar | Row::Membar | Row::Flush | Row::Prefetch | Row::PrefetchA => {
                    return None;
                }
                row => (by_row(row), 0),
            };
            Op { run, rd, a: insn.rd, b: 0, at, imm }
        }
        Kind::Sethi if d_place == G => placed(op::sethi::<G>),
        Kind::Sethi => placed(op::sethi::<W>),
        Kind::Udivx => numbered(op::divide::<{ Kind::Udivx as u8 }>),
        Kind::Sdivx => numbered(op::divide::<{ Kind::Sdivx as u8 }>),
        Kind::MovIcc => numbered(op::move_cc::<{ Kind::MovIcc as u8 }>),
        Kind::MovXcc => numbered(op::move_cc::<{ Kind::MovXcc as u8 }>),
        Kind::MovRegister => numbered(op::move_register),
        Kind::Save => numbered(op::save),
        Kind::Restore => numbered(op::restore),
        _ if is_alu(kind) => {
            return Some(by_kind!(
                kind,
                [Mov Add Sub And Or Xor Andn Addcc Subcc Andcc Orcc Sll Srl Sra Sllx Srlx Srax],
                K => placed(by_place!(op::arithmetic, [K], a_place, b_place, d_place)),
                numbered(by_kind!(
                    kind,
                    [Orn Xnor Xorcc Andncc Orncc Xnorcc Addc Subc Addccc Subccc Mulx Umul Smul],
                    K => op::arithmetic::<K, ANY, ANY, ANY> as Handler,
                    op::illegal as Handler
                ))
            ));
        }
        Kind::Ldub => placed(by_place!(memory::ldub, [], a_place, b_place, d_place)),
        Kind::Lduh => placed(by_place!(memory::lduh, [], a_place, b_place, d_place)),
        Kind::Lduw => placed(by_place!(memory::lduw, [], a_place, b_place, d_place)),
        Kind::Ldx => placed(by_place!(memory::ldx, [], a_place, b_place, d_place)),
        Kind::Ldsb => placed(by_place!(memory::ldsb, [], a_place, b_place, d_place)),
        Kind::Ldsh => placed(by_place!(memory::ldsh, [], a_place, b_place, d_place)),
        Kind::Ldsw => placed(by_place!(memory::ldsw, [], a_place, b_place, d_place)),
        Kind::Stb | Kind::Sth | Kind::Stw | Kind::Stx => {
            // A store reads its register: %g0 is zero, not the sink.
            let (d_place, d) = source(rd);
            let run = match kind {
                Kind::Stb => by_place!(memory::stb, [], a_place, b_place, d_place),
                Kind::Sth => by_place!(memory::sth, [], a_place, b_place, d_place),
                Kind::Stw => by_place!(memory::stw, [], a_place, b_place, d_place),
                _ => by_place!(memory::stx, [], a_place, b_place, d_place),
            };
            Op { rd: d, ..placed(run) }
        }
        Kind::Ldf | Kind::Lddf | Kind::Stf | Kind::Stdf => {
            let run = by_kind!(kind, [Ldf Lddf Stf Stdf], K => match (a_place, b_place) {
                (G, I) => memory::float::<K, G, I> as Handler,
                (W, I) => memory::float::<K, W, I>,
                (G, G) => memory::float::<K, G, G>,
                (G, _) => memory::float::<K, G, W>,
                (_, G) => memory::float::<K, W, G>,
                (_, _) => memory::float::<K, W, W>,
            }, op::illegal as Handler);
            Op { rd, ..placed(run) }
        }
        _ => numbered(by_kind!(
            kind,
            [FaddD FsubD FmulD FdivD FmovD FnegD FabsD FaddS FsubS FmulS FcmpD FcmpeD],
            K => float_op::<K> as Handler,
            op::illegal as Handler
        )),
    })
}

/// A function by kind of branch and where its register lies.
macro_rules! by_branch {
    ($f:path, $kind:expr, $a:expr) => {{
        use $f as f;
        by_kind!(
            $kind,
            [BeI BleI BlI BleuI BcsI BnegI BvsI BeX BleX BlX BleuX BcsX BnegX BvsX
             BrZ BrLez BrLz],
            K => if $a == G { f::<K, G> as Handler } else { f::<K, W> as Handler },
            op::illegal as Handler
        )
    }};
}

/// Is it a transfer of control?
fn transfers(kind: Kind) -> bool {
    kind >= Kind::BeI && kind <= Kind::Return
}

/// May it be executed before the branch in whose slot it stands?
fn goes_first(slot: Insn, branch: Insn) -> bool {
    let pure = matches!(slot.kind, Kind::Nop | Kind::Sethi | Kind::MovIcc | Kind::MovXcc)
        || slot.kind == Kind::MovRegister
        || is_alu(slot.kind);
    let sets_cc = slot.kind >= Kind::Addcc && slot.kind <= Kind::Xnorcc
        || matches!(slot.kind, Kind::Addccc | Kind::Subccc);
    let reads = match branch.kind {
        Kind::BrZ | Kind::BrLez | Kind::BrLz => {
            slot.kind != Kind::Nop && slot.rd == branch.rs1 && slot.rd != 0
        }
        kind => is_conditional(kind) && sets_cc,
    };
    pure && !reads
}

/// What a block is made into.
struct Builder<'r, 'a> {
    run: &'r mut Run<'a>,
    number: u32,
    pc: u64,
    insns: Vec<(Insn, Class)>,
    ops: Vec<Op>,
    links: [Link; 2],
}

impl Builder<'_, '_> {
    fn insn(&mut self, index: usize) -> (Insn, Class) {
        let found = self.run.code.insn(self.number, index, self.run.ram);
        found.unwrap_or((Insn::default(), Class::Illegal))
    }

    fn push(&mut self, insn: Insn, flags: u8) {
        let at = (self.insns.len() - 1) as u8 | flags;
        self.ops.extend(plain(insn, at));
    }

    fn end(&mut self, run: Handler) {
        let at = self.insns.len() as u8;
        self.ops.push(Op { run, rd: 0, a: 0, b: 0, at, imm: 0 });
    }

    /// The address of instruction `at`, or of one behind the block.
    fn address(&self, at: usize) -> u64 {
        self.pc.wrapping_add(at as u64 * 4) & self.run.strand.am
    }

    /// A transfer that is the next instruction; false when it is not for blocks.
    fn transfer(&mut self, insn: Insn, class: Class, index: usize) -> bool {
        let at = self.insns.len();
        let here = self.address(at);
        let annulled = insn.kind == Kind::Ba && insn.rs2 != 0;
        let target = here.wrapping_add_signed(i64::from(insn.imm) << 2) & self.run.strand.am;
        let direct = !matches!(insn.kind, Kind::Jmpl | Kind::Return | Kind::BnA);
        let strand = &*self.run.strand;
        let hole = strand.am == u64::MAX && canonical(target) != target;
        let always = insn.kind == Kind::Fb && insn.rd == 8 && insn.rs2 != 0;
        if direct && hole || always {
            return false;
        }
        let extra = self.run.costs.bubble(self.run.sharing) as i64;
        if insn.kind == Kind::BnA || annulled {
            self.insns.push((insn, class));
            self.links[0] = match annulled {
                true => Link::to(target, extra),
                false => Link::to(self.address(at + 2), 0),
            };
            self.end(transfer::end);
            return true;
        }
        if index + 1 >= PAGE_INSNS {
            return false;
        }
        let (slot, slot_class) = self.insn(index + 1);
        if transfers(slot.kind) {
            return false;
        }
        self.insns.push((insn, class));
        let behind = self.address(at + 2);
        let first = goes_first(slot, insn);
        let (a_place, a) = source(insn.rs1);
        let branch = |run| Op { run, rd: insn.rd, a, b: insn.rd, at: at as u8, imm: 0 };
        let numbered =
            |run| Op { run, rd: insn.rd, a: insn.rs1, b: insn.rs2, at: at as u8, imm: insn.imm };
        self.links = [Link::to(target, extra), Link::to(behind, 0)];
        let (before, end): (Option<Op>, Op) = match insn.kind {
            Kind::Ba if first => (None, branch(transfer::end)),
            Kind::Ba => (Some(branch(transfer::decide_always)), branch(transfer::end_paid)),
            Kind::Call => (Some(branch(transfer::call)), branch(transfer::end_paid)),
            Kind::Jmpl => (Some(numbered(transfer::jmpl)), branch(transfer::end_jump)),
            Kind::Return => (Some(numbered(transfer::return_)), branch(transfer::end_jump)),
            Kind::Fb => (Some(numbered(transfer::decide_float)), branch(transfer::end_decided)),
            kind if insn.rs2 != 0 => (
                Some(branch(by_branch!(transfer::decide_or_annul, kind, a_place))),
                branch(transfer::end_paid),
            ),
            kind => {
                if insn.rd != 0 {
                    self.links.swap(0, 1);
                }
                if first {
                    (None, branch(by_branch!(transfer::end_branch, kind, a_place)))
                } else {
                    let decide = branch(by_branch!(transfer::decide, kind, a_place));
                    (Some(decide), branch(transfer::end_decided))
                }
            }
        };
        let flags = if before.is_some() { SLOT } else { 0 };
        self.ops.extend(before);
        self.insns.push((slot, slot_class));
        self.push(slot, flags);
        self.ops.push(end);
        true
    }

    fn finish(self, page: usize) -> Block {
        let Self { run, pc, insns, ops, links, .. } = self;
        let ticks = |class| run.costs.ticks(class, run.sharing) as u32;
        let mut after: Vec<u32> = Vec::with_capacity(insns.len());
        let mut rest = 0;
        for &(_, class) in insns.iter().rev() {
            after.push(rest);
            rest += ticks(class);
        }
        after.reverse();
        let ops = ops.into_boxed_slice();
        let cost = i64::from(rest);
        Block {
            cost,
            need: cost + links[0].extra.max(links[1].extra),
            runs: 0,
            first: ops.as_ptr(),
            pc,
            links,
            page,
            classes: insns.iter().map(|&(_, class)| class).collect(),
            after: after.into_boxed_slice(),
            ops,
        }
    }
}

/// The block at the strand's `pc`, which lies in page `number` of instructions.
pub(super) fn block(run: &mut Run<'_>, number: u32, page: usize) -> Block {
    let pc = run.strand.pc;
    let links = [Link::to(0, 0), Link::to(0, 0)];
    let mut builder = Builder { run, number, pc, insns: Vec::new(), ops: Vec::new(), links };
    let mut index = (pc >> 2) as usize & (PAGE_INSNS - 1);
    loop {
        let (insn, class) = builder.insn(index);
        if transfers(insn.kind) {
            if !builder.transfer(insn, class, index) {
                builder.end(transfer::end_step);
            }
            break;
        }
        builder.insns.push((insn, class));
        builder.push(insn, 0);
        let leaves = insn.kind == Kind::Slow && matches!(insn.op(), Row::Done | Row::Retry);
        if leaves || matches!(insn.kind, Kind::Illegal | Kind::Undecoded) {
            builder.end(transfer::end_step);
            break;
        }
        index += 1;
        // A transfer and its slot have to fit too.
        if index >= PAGE_INSNS || builder.insns.len() >= INSNS_MAX - 2 {
            builder.links[0] = Link::to(builder.address(builder.insns.len()), 0);
            builder.end(transfer::end);
            break;
        }
    }
    builder.finish(page)
}
