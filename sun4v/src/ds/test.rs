//! Messages as bytes, and any bytes as messages.

use super::service::{CpuAnswer, CpuRequest, PlainAnswer, VariableRequest, VariableResult};
use super::{
    BadMessage, CpuOp, CpuRecord, CpuResult, CpuStat, Message, PAYLOAD_MAX, Refusal, Service,
    Stream, TooLong,
};
use proptest::collection::vec;
use proptest::prelude::{any, proptest};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(bytes: &[u8]) -> Message {
    let mut stream = Stream::default();
    stream.push(bytes);
    let (kind, payload) = stream.take().unwrap().unwrap();
    assert_eq!(stream.pending(), 0);
    Message::parse(kind, &payload).unwrap()
}

#[test]
fn messages_are_these_bytes() {
    let handle = 0x2_0000_0007;
    let all = [
        (Message::InitReq(1, 0), "000000000000000400010000"),
        (Message::InitAck(0), "00000001000000020000"),
        (Message::InitNack(1), "00000002000000020001"),
        (
            Message::RegReq { handle, version: (1, 0), name: "pri".into() },
            "0000000300000010000000020000000700010000707269\
             00",
        ),
        (Message::RegAck { handle, minor: 0 }, "000000040000001000000002000000070000000000000000"),
        (
            Message::RegNack { handle, result: Refusal::Version.code(), major: 0 },
            "00000005000000180000000200000007000000000000000100000000\
             00000000",
        ),
        (Message::UnregReq(handle), "00000006000000080000000200000007"),
        (Message::UnregAck(handle), "00000007000000080000000200000007"),
        (Message::UnregNack(handle), "00000008000000080000000200000007"),
        (Message::Data(handle, vec![0xab]), "00000009000000090000000200000007ab"),
        (
            Message::Nack(handle, Refusal::Handle.code()),
            "0000000a0000001000000002000000070000000000000003",
        ),
    ];
    for (message, bytes) in all {
        assert_eq!(hex(&message.to_bytes()), bytes, "{message:?}");
        assert_eq!(read(&message.to_bytes()), message);
    }
}

#[test]
fn a_service_is_registered_in_the_form_of_linux_too() {
    // 24 bytes of structure, then the name without an end.
    let bytes = b"\0\0\0\x03\0\0\0\x19\0\0\0\x01\0\0\0\x09\0\x01\0\0\0\0\0\0md-update";
    let message =
        Message::RegReq { handle: 0x1_0000_0009, version: (1, 0), name: "md-update".into() };
    assert_eq!(read(bytes), message);
    let nameless = b"\0\0\0\x03\0\0\0\x10\0\0\0\x01\0\0\0\x09\0\x01\0\0\0\0\0\0";
    assert_eq!(Message::parse(3, &nameless[8..]), Err(BadMessage::Name));
    assert_eq!(Message::parse(3, &nameless[8..20]), Err(BadMessage::Name));
    assert_eq!(Message::parse(3, &nameless[8..19]), Err(BadMessage::Short(3, 11)));
    assert_eq!(Message::parse(11, &[]), Err(BadMessage::Type(11)));
}

#[test]
fn a_stream_gives_messages_however_it_is_cut() {
    let messages: Vec<Message> = (0..40).map(|n| Message::Data(n, vec![7; n as usize])).collect();
    let bytes: Vec<u8> = messages.iter().flat_map(Message::to_bytes).collect();
    for cut in [1, 3, 8, 11, 100, bytes.len()] {
        let (mut stream, mut got) = (Stream::default(), Vec::new());
        for piece in bytes.chunks(cut) {
            stream.push(piece);
            while let Some((kind, payload)) = stream.take().unwrap() {
                got.push(Message::parse(kind, &payload).unwrap());
            }
        }
        assert_eq!(got, messages);
    }
    let mut stream = Stream::default();
    stream.push(&[0, 0, 0, 9, 0, 0, 0x40, 1]);
    assert_eq!(stream.take(), Err(TooLong(PAYLOAD_MAX as u32 + 1)));
}

#[test]
fn every_service_has_its_name() {
    for service in Service::ALL {
        assert_eq!(Service::named(service.name()), Some(service));
        assert_eq!(Service::from_code(service.code()), Some(service));
    }
    assert_eq!(Service::named("dr-mem"), None);
}

#[test]
fn data_of_services_are_these_bytes() {
    let request = CpuRequest { number: 5, op: CpuOp::Configure, cpus: vec![8, 9] };
    let bytes = request.to_bytes();
    assert_eq!(hex(&bytes), "000000000000000500000043000000020000000800000009");
    assert_eq!(CpuRequest::parse(&bytes), Some(request));
    let record =
        |cpu, result, stat, reason: &str| CpuRecord { cpu, result, stat, reason: reason.into() };
    let answer = CpuAnswer {
        number: 5,
        ok: true,
        records: vec![
            record(8, CpuResult::Ok, CpuStat::Configured, ""),
            record(9, CpuResult::NotInMd, CpuStat::NotPresent, "no"),
        ],
    };
    let bytes = answer.to_bytes();
    assert_eq!(
        hex(&bytes),
        "00000000000000050000006f00000002\
         00000008000000000000000200000000\
         00000009000000040000000000000030\
         6e6f00"
    );
    assert_eq!(CpuAnswer::parse(&bytes), Some(answer));
    let refused = CpuAnswer::parse(&hex_bytes("0000000000000005000000650000000a")).unwrap();
    assert_eq!((refused.ok, refused.records.len()), (false, 0));
    // Linux answers so.
    let done = PlainAnswer { number: 3, result: 0, reason: String::new() };
    assert_eq!(PlainAnswer::parse(&hex_bytes("000000000000000300000000")), Some(done.clone()));
    assert_eq!(PlainAnswer::parse(&done.to_bytes()), Some(done));
}

fn hex_bytes(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn variables_are_set_and_deleted() {
    let set = VariableRequest::Set { name: "boot-file".into(), value: "a b".into() };
    assert_eq!(
        hex(&set.to_bytes()),
        "00000000626f6f742d66696c6500612062\
                                      00"
    );
    let delete = VariableRequest::Delete { name: "boot-file".into() };
    for request in [&set, &delete] {
        // Linux fills up to four bytes.
        let mut bytes = request.to_bytes();
        bytes.extend([0; 3]);
        assert_eq!(VariableRequest::parse(&bytes), Some(Ok(request.clone())));
    }
    assert_eq!(set.answer(VariableResult::Ok), hex_bytes("0000000200000000"));
    assert_eq!(delete.answer(VariableResult::NotPresent), hex_bytes("0000000300000004"));
    let bad = VariableRequest::parse(b"\0\0\0\0a\0\xff\0").unwrap();
    assert_eq!(bad, Err(hex_bytes("0000000200000003")));
    let bad = VariableRequest::parse(b"\0\0\0\x01\xff\0").unwrap();
    assert_eq!(bad, Err(hex_bytes("0000000300000002")));
    assert_eq!(VariableRequest::parse(b"\0\0\0\x02a\0b\0"), None);
    assert_eq!(VariableRequest::parse(b"\0\0\0"), None);
    assert_eq!(VariableRequest::parse(b"\0\0\0\0name"), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(kind in 0_u32..12, bytes in vec(any::<u8>(), 0..80)) {
        if let Ok(message) = Message::parse(kind, &bytes) {
            assert_eq!(read(&message.to_bytes()), message);
        }
        let _ = VariableRequest::parse(&bytes);
        let _ = PlainAnswer::parse(&bytes);
        if let Some(answer) = CpuAnswer::parse(&bytes) {
            let _ = answer.to_bytes();
        }
        if let Some(request) = CpuRequest::parse(&bytes) {
            assert_eq!(CpuRequest::parse(&request.to_bytes()), Some(request));
        }
    }
}
