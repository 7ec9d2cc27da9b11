//! Ends that share a password, and ends that do not.

use super::{GREETING_BYTES_MAX, Handshake, Hello, Met, Own, VERSIONS, Versions, no_version};
use crate::migrate::Refusal;

fn own(password: &str, entropy: u8, connection: u64) -> Own {
    let (password, host) = (password.to_owned(), format!("host{entropy}"));
    Own { password, tickets: [9; 32], entropy: [entropy; 32], connection, host }
}

fn listen(own: Own) -> Handshake {
    Handshake::Listening(own)
}

/// Frames of a handshake that goes well, and what either end has of it.
struct Talk {
    frames: [Vec<u8>; 3],
    source: Met,
    target: Met,
}

/// Runs one; `alter` may change each frame on its way.
fn talk(
    source: &Own,
    target: &Own,
    mut alter: impl FnMut(usize, &mut Vec<u8>),
) -> Result<Talk, (usize, Refusal)> {
    let (mut calling, mut hello) = Handshake::call(source, [4; 16], true);
    let mut listening = listen(target.clone());
    let (mut answer, mut proof) = (Vec::new(), Vec::new());
    alter(0, &mut hello);
    assert!(listening.frame(&hello, &mut answer).map_err(|why| (0, why))?.is_none());
    alter(1, &mut answer);
    let source = calling.frame(&answer, &mut proof).map_err(|why| (1, why))?.unwrap();
    alter(2, &mut proof);
    let mut nothing = Vec::new();
    let target = listening.frame(&proof, &mut nothing).map_err(|why| (2, why))?.unwrap();
    assert!(nothing.is_empty());
    Ok(Talk { frames: [hello, answer, proof], source, target })
}

#[test]
fn ends_that_share_a_password_meet_and_have_the_same_keys() {
    let talk = talk(&own("secret", 1, 1), &own("secret", 2, 1), |_, _| {}).unwrap();
    assert_eq!(talk.source.session, talk.target.session);
    assert_eq!((talk.source.host.as_str(), talk.target.host.as_str()), ("host2", "host1"));
    let hello = talk.target.hello.unwrap();
    assert_eq!((hello.migration, hello.fresh), ([4; 16], true));
    assert!(talk.frames.iter().all(|frame| frame.len() < GREETING_BYTES_MAX / 4));
}

#[test]
fn another_password_is_noticed_by_the_source_before_it_proves_anything() {
    for (one, other) in [("secret", "Secret"), ("secret", ""), ("", "secret"), ("a", "b")] {
        let why = talk(&own(one, 1, 1), &own(other, 2, 1), |_, _| {}).err();
        assert_eq!(why, Some((1, Refusal::Password)));
    }
}

#[test]
fn the_same_randomness_gives_the_same_bytes_and_other_randomness_does_not() {
    let frames = |source: (u8, u64), target: (u8, u64)| {
        let talk = talk(&own("s", source.0, source.1), &own("s", target.0, target.1), |_, _| {});
        talk.map(|talk| (talk.frames, talk.source.session)).unwrap()
    };
    let one = frames((1, 1), (2, 1));
    assert_eq!(one, frames((1, 1), (2, 1)));
    for other in [((3, 1), (2, 1)), ((1, 2), (2, 1)), ((1, 1), (3, 1)), ((1, 1), (2, 2))] {
        let other = frames(other.0, other.1);
        assert_ne!(one.0[1], other.0[1]);
        assert_ne!(one.1, other.1);
    }
}

#[test]
fn every_bit_of_every_frame_counts() {
    let (source, target) = (own("secret", 1, 1), own("secret", 2, 1));
    let lengths = talk(&source, &target, |_, _| {}).unwrap().frames.map(|frame| frame.len());
    for (number, length) in lengths.into_iter().enumerate() {
        // The length in front is for whoever cuts frames.
        for bit in 32..length * 8 {
            let met = talk(&source, &target, |at, frame| {
                if at == number {
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
            });
            let (at, why) = met.err().unwrap_or_else(|| panic!("frame {number}, bit {bit}"));
            assert!(at >= number, "frame {number}, bit {bit}");
            let named = [Refusal::Password, Refusal::Version, Refusal::Malformed];
            assert!(named.contains(&why), "frame {number}, bit {bit}: {why}");
        }
        for length in 0..length {
            let met = talk(&source, &target, |at, frame| {
                if at == number {
                    frame.truncate(length);
                }
            });
            assert!(met.is_err(), "frame {number}, cut at {length}");
        }
    }
}

#[test]
fn a_hello_that_was_recorded_opens_nothing() {
    let recorded = talk(&own("secret", 1, 1), &own("secret", 2, 1), |_, _| {}).unwrap().frames;
    // The next connection of the same target, and a target that is new.
    for own in [own("secret", 2, 2), own("secret", 5, 1)] {
        let mut target = listen(own);
        let mut answer = Vec::new();
        assert!(target.frame(&recorded[0], &mut answer).unwrap().is_none());
        assert_ne!(answer, recorded[1]);
        let met = target.frame(&recorded[2], &mut Vec::new());
        assert_eq!(met.err(), Some(Refusal::Password));
    }
    // An answer that was recorded is for another hello.
    let (mut source, _) = Handshake::call(&own("secret", 1, 2), [4; 16], true);
    assert_eq!(source.frame(&recorded[1], &mut Vec::new()).err(), Some(Refusal::Password));
}

#[test]
fn a_frame_that_comes_back_to_its_sender_is_no_answer() {
    let (mut source, hello) = Handshake::call(&own("secret", 1, 1), [4; 16], true);
    assert!(source.frame(&hello, &mut Vec::new()).is_err());
    let mut target = listen(own("secret", 2, 1));
    let (_, hello) = Handshake::call(&own("secret", 1, 1), [4; 16], true);
    let mut answer = Vec::new();
    assert!(target.frame(&hello, &mut answer).unwrap().is_none());
    assert!(target.frame(&answer, &mut Vec::new()).is_err());
    // Its own proof is not the source's.
    let proof = [&[0, 0, 0, 32], &answer[answer.len() - 32..]].concat();
    assert!(listen(own("secret", 2, 1)).frame(&proof, &mut Vec::new()).is_err());
}

#[test]
fn nothing_comes_before_its_turn_and_nothing_twice() {
    let recorded = talk(&own("secret", 1, 1), &own("secret", 2, 1), |_, _| {}).unwrap().frames;
    let mut target = listen(own("secret", 2, 1));
    assert!(target.frame(&recorded[2], &mut Vec::new()).is_err());
    assert_eq!(target.frame(&recorded[0], &mut Vec::new()).err(), Some(Refusal::Unexpected));
    let (mut source, _) = Handshake::call(&own("secret", 1, 1), [4; 16], true);
    assert!(source.frame(&recorded[1], &mut Vec::new()).unwrap().is_some());
    assert_eq!(source.frame(&recorded[1], &mut Vec::new()).err(), Some(Refusal::Unexpected));
}

#[test]
fn the_newest_version_that_both_speak_holds() {
    let of = |oldest, newest| Versions { oldest, newest };
    assert_eq!(of(2, 5).agree(of(1, 3)), Some(3));
    assert_eq!(of(1, 3).agree(of(2, 5)), Some(3));
    assert_eq!(of(2, 2).agree(of(2, 2)), Some(2));
    assert_eq!(of(1, 2).agree(of(3, 4)), None);
    assert_eq!(of(0, 0).agree(of(0, 0)), None);
    assert_eq!(of(5, 2).agree(of(1, 9)), None);
}

#[test]
fn nobody_in_the_middle_chooses_the_version() {
    let (source, target) = (own("secret", 1, 1), own("secret", 2, 1));
    let alter = |number: usize, at: usize, value: u16| {
        talk(&source, &target, |frame, bytes| {
            if frame == number {
                bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
            }
        })
        .err()
    };
    // As if a source spoke no newer one than the first: there is none in common.
    assert_eq!(alter(0, 10, 1), Some((0, Refusal::Version)));
    // As if it spoke older ones too, or newer ones: the same version holds, and the
    // proof shows that somebody has said so.
    assert_eq!(alter(0, 8, 1), Some((1, Refusal::Password)));
    assert_eq!(alter(0, 10, 9), Some((1, Refusal::Password)));
    assert_eq!(alter(1, 8, 1), Some((1, Refusal::Password)));
    assert_eq!(alter(1, 10, 9), Some((1, Refusal::Password)));
    // A version that neither has.
    assert_eq!(alter(1, 12, 1), Some((1, Refusal::Version)));
    assert_eq!(alter(1, 12, 0), Some((1, Refusal::Version)));
}

#[test]
fn a_source_of_another_time_hears_which_versions_there_are() {
    let hello = Hello { share: [0; 32], host: "old".into(), migration: [0; 16], fresh: true };
    let mut frame = hello.to_frame(Versions { oldest: 1, newest: 1 });
    // Whatever follows: only the versions of another time are known.
    frame.extend_from_slice(b"what another version says here");
    let mut target = listen(own("secret", 2, 1));
    let mut reply = Vec::new();
    assert_eq!(target.frame(&frame, &mut reply).err(), Some(Refusal::Version));
    assert_eq!(reply, no_version());
    let (mut source, _) = Handshake::call(&own("secret", 1, 1), [4; 16], true);
    assert_eq!(source.frame(&reply, &mut Vec::new()).err(), Some(Refusal::Version));
    assert_eq!(VERSIONS.agree(VERSIONS), Some(3));
}

#[test]
fn shares_that_are_no_points_or_lead_nowhere_are_refused() {
    // The identity, a point of order four, one that is not on the curve.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut none = [0; 32];
    none[0] = 2;
    for share in [identity, [0; 32], none, [0xff; 32]] {
        let hello = Hello { share, host: "x".into(), migration: [0; 16], fresh: true };
        let mut target = listen(own("secret", 2, 1));
        let mut answer = Vec::new();
        if target.frame(&hello.to_frame(VERSIONS), &mut answer).is_ok() {
            // Whoever sent it knows of no key: no proof that can be made without the
            // password fits.
            for proof in [[0; 32], <[u8; 32]>::try_from(&answer[answer.len() - 32..]).unwrap()] {
                let frame = [&[0, 0, 0, 32], &proof[..]].concat();
                let mut again = listen(own("secret", 2, 1));
                again.frame(&hello.to_frame(VERSIONS), &mut Vec::new()).unwrap();
                assert_eq!(again.frame(&frame, &mut Vec::new()).err(), Some(Refusal::Password));
            }
        }
    }
}

#[test]
fn a_ticket_opens_its_migration_and_no_other() {
    let target = own("secret", 2, 1);
    let meets = |number: u8, of: u8| {
        let ticket = crate::migrate::journal::ticket(&target.tickets, &[of; 16]);
        let (mut source, hello) = Handshake::call(&own(&ticket, 1, 1), [number; 16], false);
        let (mut listening, mut answer) = (listen(target.clone()), Vec::new());
        listening.frame(&hello, &mut answer).unwrap();
        source.frame(&answer, &mut Vec::new()).map(|met| met.is_some())
    };
    assert_eq!(meets(4, 4), Ok(true));
    assert_eq!(meets(4, 5), Err(Refusal::Password));
    // Nor does the password, which opens new ones only.
    let (mut source, hello) = Handshake::call(&own("secret", 1, 1), [4; 16], false);
    let mut answer = Vec::new();
    listen(target.clone()).frame(&hello, &mut answer).unwrap();
    assert_eq!(source.frame(&answer, &mut Vec::new()).err(), Some(Refusal::Password));
}
