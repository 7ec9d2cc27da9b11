use super::Groups;
use crate::chassis::bare::{Bare, GUEST};
use crate::chassis::image::{Image, Segment};
use crate::engine::{Choice, Model, Which};
use hv::platform::{Machine, StartState};
use sun4v::id::{StrandId, VcpuId};
use sun4v::time::{SimTime, T2_HZ};

const NOP: u32 = 0x0100_0000;
/// `add %g1, 1, %g1`.
const COUNT: u32 = 0x8200_6001;
/// `add %g2, 1, %g2`.
const WORK: u32 = 0x8400_a001;
const ENTRY: u64 = 0x1000;

/// `ba` by `disp` instructions.
fn back(disp: i32) -> u32 {
    0x1080_0000 | disp as u32 & 0x3f_ffff
}

/// What the strands of `vcpus` have counted in `%g1` after a millisecond under a model,
/// each running `program`, whichever engine executes it.
fn counted(timing: Model, vcpus: &[u8], program: &[u32]) -> Vec<u64> {
    let [interp, cached] = Which::ALL.map(|engine| counted_by(engine, timing, vcpus, program));
    assert_eq!(interp, cached, "{vcpus:?}");
    interp
}

fn counted_by(engine: Which, timing: Model, vcpus: &[u8], program: &[u32]) -> Vec<u64> {
    let bytes = program.iter().flat_map(|word| word.to_be_bytes()).collect();
    let image = Image { segments: vec![Segment { ra: ENTRY, bytes, size: 1024 }], entry: ENTRY };
    let mut bare = Bare::boot_image(8, 1 << 20, &image).unwrap();
    bare.board.set_choice(Choice { engine, timing });
    for &vcpu in vcpus.iter().filter(|&&vcpu| vcpu != 0) {
        let state = StartState { pc: ENTRY, argument: 0, memory_base: 0, memory_bytes: 1 << 20 };
        bare.board.cpus(GUEST).start(VcpuId(vcpu), state);
    }
    bare.finish(SimTime::ms(1));
    let globals = |vcpu: &u8| {
        let state = bare.board.cpus(GUEST).save(VcpuId(*vcpu));
        state.globals[8 * usize::from(state.gl) + 1]
    };
    vcpus.iter().map(globals).collect()
}

/// Ticks of a millisecond.
fn ticks() -> u64 {
    SimTime::ms(1).ticks(T2_HZ)
}

#[test]
fn a_strand_shares_with_its_group_whosever_the_others_are() {
    let (mut own, mut others) = (Groups::default(), Groups::default());
    own.add(StrandId(4));
    others.add(StrandId(7));
    others.add(StrandId(8));
    let sharing = |own: &Groups, strand| own.sharing(&others, StrandId(strand));
    assert_eq!([0, 4, 8, 63].map(|strand| sharing(&own, strand)), [1, 2, 1, 1]);
    assert_eq!(own.with(&others).without(&own), others);
}

#[test]
fn a_loop_takes_what_its_instructions_take_and_more_where_a_group_is_shared() {
    // Three instructions; taken alone 1 + 1 + 1 and a bubble of 5.
    let program = [COUNT, back(-1), NOP];
    let near = |counts: Vec<u64>, cycles: u64| {
        for count in counts {
            // The first microseconds may pass before all have begun.
            assert!(count.abs_diff(ticks() / cycles) <= 2, "{count} rounds of {cycles}");
        }
    };
    near(counted(Model::T2, &[0], &program), 8);
    near(counted(Model::T2, &[0, 4], &program), 8);
    near(counted(Model::T2, &[0, 1], &program), 2 * 3 + 4);
    near(counted(Model::T2, &[0, 1, 2, 3], &program), 4 * 3 + 2);
    near(counted(Model::Functional, &[0, 1, 2, 3], &program), 3);
    // A load is waited for: three cycles, or its turn when that is longer.
    let program = [0xc458_2000, COUNT, back(-2), NOP]; // ldx [ %g0 ], %g2
    near(counted(Model::T2, &[0], &program), 3 + 3 + 5);
    near(counted(Model::T2, &[0, 1], &program), 3 + 3 * 2 + 4);
    near(counted(Model::T2, &[0, 1, 2, 3], &program), 4 * 4 + 2);
}

#[test]
fn a_group_issues_one_instruction_a_cycle_and_loses_none_while_four_have_work() {
    // 62 instructions of a cycle each, a branch and its slot.
    let mut program = vec![WORK; 61];
    program.extend([COUNT, back(-62), NOP]);
    let sum = |vcpus: &[u8]| counted(Model::T2, vcpus, &program).iter().sum::<u64>() * 64;
    let whole = ticks();
    for vcpus in [&[0][..], &[0, 1], &[0, 1, 2], &[0, 1, 2, 3]] {
        let issued = sum(vcpus);
        assert!(issued <= whole && issued * 100 >= whole * 90, "{issued} of {whole}");
    }
    let two_groups = sum(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(two_groups > whole * 19 / 10 && two_groups <= 2 * whole, "{two_groups}");
}
