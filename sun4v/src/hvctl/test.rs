use super::migrate::{self, Buffer, Pages};
use super::{
    Body, GuestState, HvInfo, MESSAGE_BYTES, MessageError, Op, RcFail, Reply, Request, ResData,
    ResInfo, SoftState, Status, Utilisation, VERSION, VcpuState, VcpuStatus, challenge, response,
    sequence,
};
use crate::addr::{Pa, Ra};
use proptest::prelude::{any, prop_assert_eq, proptest};

const PAGES: Pages = Pages { guest: 3, list: Ra(0x801_0000), count: 512, buffer: Ra(0x802_0000) };
const BUFFER: Buffer = Buffer { guest: 3, buffer: Ra(0x801_0000), bytes: 0x1_0000 };

fn requests() -> Vec<Request> {
    let (md, guest) = (Pa(0x3f0_0000), 1);
    let own = [
        migrate::Request::LogStart(3),
        migrate::Request::LogStop(3),
        migrate::Request::DirtyRead { first: 4096, map: BUFFER },
        migrate::Request::PagesOut(PAGES),
        migrate::Request::PagesIn(PAGES),
        migrate::Request::PagesZero(PAGES),
        migrate::Request::Suspend(3),
        migrate::Request::Resume(3),
        migrate::Request::StateOut(BUFFER),
        migrate::Request::StateIn(BUFFER),
        migrate::Request::Hold { guest: 3, percent: 60 },
    ];
    let mut all = vec![
        Request::Hello(VERSION),
        Request::Response(0x1234),
        Request::GetHvConfig,
        Request::Reconfigure { md, guest },
        Request::GuestStart(1),
        Request::GuestStop(1),
        Request::GuestDelayedReconf { md, guest },
        Request::GuestSuspend,
        Request::GuestResume,
        Request::GuestPanic(1),
        Request::GetResStat { res: 0, id: 1, info: 3 },
        Request::CancelReconf,
        Request::GuestOnlyReconf { md, guest },
        Request::GuestOnlyDelayedReconf { md, guest },
    ];
    all.extend(own.map(Request::Migrate));
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(8)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + " ")
        .collect()
}

#[test]
fn every_command_is_these_bytes_and_reads_back() {
    let mut text = String::new();
    for request in requests() {
        let bytes = request.to_bytes(0x77);
        assert_eq!((Request::parse(&bytes), sequence(&bytes)), (Ok(request), 0x77));
        text += &format!("{:?}: {}\n", request.op(), hex(&bytes[..40]).trim_end());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_challenge_is_answered_without_knowing_the_secret() {
    for secret in [0, 1, 0xfeed_f00d_1234, u64::MAX] {
        assert_eq!(response(challenge(secret)), secret ^ 0x1_2caf_e42a);
    }
    assert_eq!(challenge(0), 0xb_adbe_ef20);
}

#[test]
fn every_reply_reads_back() {
    let data = ResData::GuestState(GuestState::Normal).to_bytes();
    let stat = |res| Body::ResStat { res, id: 1, info: 0, code: 0, data };
    let info =
        HvInfo { membase: Pa(0), memsize: 0x400_0000, md: Pa(0x3f0_0000), ..HvInfo::default() };
    let fail = RcFail { md: Pa(0x3f0_0000), res: 1, code: 16, node: 40, id: 9 };
    for (op, status, body) in [
        (Op::Hello, Status::NotSupported, Body::Version(VERSION)),
        (Op::Challenge, Status::Ok, Body::Challenge { code: 99, version: VERSION }),
        (Op::Response, Status::Auth, Body::None),
        (Op::GetHvConfig, Status::Ok, Body::HvInfo(info)),
        (Op::Reconfigure, Status::Ok, Body::None),
        (Op::Reconfigure, Status::RcFailed, Body::RcFail(fail)),
        (Op::GuestStart, Status::Illegal, Body::Code(4)),
        (Op::GetResStat, Status::Ok, stat(0)),
        (Op::NewResStat, Status::Ok, stat(1)),
        (Op::CancelReconf, Status::Illegal, Body::None),
        (Op::StateOut, Status::Ok, Body::Migrate { code: 0, value: 5000 }),
    ] {
        let reply = Reply { seqn: 2910, op, status, body };
        assert_eq!(Reply::parse(&reply.to_bytes()), Ok(reply));
    }
}

#[test]
fn every_item_of_a_resource_reads_back() {
    let mut text = [0; 32];
    text[..15].copy_from_slice(b"Solaris running");
    let util = Utilisation {
        lifespan: 1,
        wallclock_delta: 2,
        active_delta: 3,
        stopped_cycles: 4,
        yielded_cycles: 5,
    };
    let vcpu = VcpuStatus {
        state: VcpuState::Running,
        lifespan: 1,
        wallclock_delta: 2,
        active_delta: 3,
        yielded_cycles: 4,
    };
    for (info, data) in [
        (ResInfo::GuestState, ResData::GuestState(GuestState::Unconfigured)),
        (ResInfo::SoftState, ResData::SoftState(SoftState::Normal, text)),
        (ResInfo::Tod, ResData::Tod(1_308_218_656)),
        (ResInfo::Utilisation, ResData::Utilisation(util)),
        (ResInfo::VcpuState, ResData::Vcpu(vcpu)),
    ] {
        assert_eq!(ResData::parse(info, &data.to_bytes()), Some(data));
        let (res, item) = info.codes();
        assert_eq!(ResInfo::from_codes(res, item), Some(info));
    }
    assert_eq!(ResData::parse(ResInfo::GuestState, &[7; 40]), None);
}

#[test]
fn what_nobody_sends_is_refused() {
    let bytes = |op: u16| {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..2].copy_from_slice(&op.to_be_bytes());
        bytes
    };
    for op in [1, 12, 16, 0x7f, 0x8b] {
        assert_eq!(Request::parse(&bytes(op)), Err(MessageError::Op(op)));
    }
    let mut message = bytes(3);
    message[7] = 10;
    assert_eq!(Reply::parse(&message), Err(MessageError::Status(10)));
}

proptest! {
    #[test]
    fn any_64_bytes_read_or_are_refused(bytes in any::<[u8; 64]>()) {
        if let Ok(request) = Request::parse(&bytes) {
            prop_assert_eq!(Request::parse(&request.to_bytes(1)), Ok(request));
        }
        if let Ok(reply) = Reply::parse(&bytes) {
            prop_assert_eq!(Reply::parse(&reply.to_bytes()), Ok(reply));
        }
    }
}
