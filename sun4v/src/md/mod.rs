//! Machine descriptions: the binary graph, its reader and its builder.
//!
//! An MD is a graph of named nodes. A node has properties: numbers, strings,
//! bytes, and arcs to other nodes. The hypervisor's own MD and those that guests
//! read with `mach_desc` have the same binary form.
//!
//! **Shapes.** All numbers are big-endian. A header of 16 bytes (version
//! `0x10000`; bytes of the node block, the name block and the data block), then
//! the three blocks. The node block is elements of 16 bytes: tag `u8`, length of
//! the name `u8`, two bytes reserved, offset of the name `u32`, then either a
//! `u64` or length and offset of data, both `u32`. A node is an element `N` (its
//! value: the index of the next node), its properties, an element `E`. Names and
//! strings end with a NUL.
//!
//! **Errors.** [`MdError`]; reading is safe on any bytes, and a graph that was
//! read has no arc that leads nowhere.
//!
//! **Source.** sun4v machine description specification, version 1.0.

mod build;
mod node;
mod read;

pub use node::{Md, Node, NodeId, Value};
pub use read::MdError;

/// Version of the binary form.
pub const VERSION: u32 = 0x1_0000;
/// Bytes of the header, and of an element.
pub const ELEMENT_BYTES: usize = 16;

const LIST_END: u8 = 0x00;
const NODE: u8 = b'N';
const NODE_END: u8 = b'E';
const NOOP: u8 = b' ';
const ARC: u8 = b'a';
const VAL: u8 = b'v';
const STR: u8 = b's';
const DATA: u8 = b'd';

#[cfg(test)]
mod test {
    use super::{ELEMENT_BYTES, Md, MdError, NodeId, Value};
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
    use proptest::{collection::vec, proptest};

    fn small() -> Md {
        let mut md = Md::default();
        let root = md.add("root");
        md.val(root, "content-version", 1 << 32);
        let cpu = md.child(root, "cpu");
        md.val(cpu, "id", 0).string(cpu, "name", "cpu").strings(cpu, "type", ["a", "bc"]);
        md
    }

    #[test]
    fn the_binary_form_is_these_bytes() {
        let bytes = small().to_bytes();
        let elements: Vec<String> = bytes
            .chunks(ELEMENT_BYTES)
            .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        insta::assert_snapshot!(elements.join("\n"));
    }

    #[test]
    fn properties_are_found_by_name_and_type() {
        let md = Md::parse(&small().to_bytes()).unwrap();
        let root = md.root().unwrap();
        let cpu = md.node(md.arcs(root, "fwd").next().unwrap());
        assert_eq!((cpu.name(), cpu.number("id"), cpu.text("name")), ("cpu", Some(0), Some("cpu")));
        assert_eq!(cpu.data("type"), Some(&b"a\0bc\0"[..]));
        assert_eq!((cpu.number("name"), cpu.text("id"), cpu.number("no")), (None, None, None));
    }

    #[test]
    fn damage_is_named() {
        let good = small().to_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Md::parse(&bytes)
        };
        assert_eq!(Md::parse(&good[..12]), Err(MdError::TooShort));
        assert_eq!(with(1, 2), Err(MdError::Version(0x2_0000)));
        assert_eq!(with(4, 1), Err(MdError::TooShort));
        // Element 1 is content-version; element 2 is the arc to the cpu.
        assert_eq!(with(32, b'?'), Err(MdError::Tag { element: 1, tag: b'?' }));
        assert_eq!(with(36, 1), Err(MdError::Name { element: 1 }));
        assert_eq!(with(16 + 32 + 15, 1), Err(MdError::Arc { element: 2, target: 1 }));
    }

    /// Nodes with names, numbers, strings and bytes, and arcs among them.
    fn graphs() -> impl Strategy<Value = Md> {
        let value = prop_oneof![
            any::<u64>().prop_map(Value::Val),
            "[ -~]{0,20}".prop_map(Value::Str),
            vec(any::<u8>(), 0..40).prop_map(Value::Data),
            any::<u32>().prop_map(|target| Value::Arc(NodeId(target))),
        ];
        let name = prop_oneof![Just("fwd".to_owned()), "[a-z#?-]{1,12}"];
        let node = ("[a-z_-]{1,10}", vec((name, value), 0..8));
        vec(node, 0..20).prop_map(|nodes| {
            let count = nodes.len() as u32;
            let mut md = Md::default();
            for (name, _) in &nodes {
                md.add(name);
            }
            for (at, (_, properties)) in nodes.into_iter().enumerate() {
                for (name, value) in properties {
                    let value = match value {
                        Value::Arc(NodeId(any)) => Value::Arc(NodeId(any % count)),
                        other => other,
                    };
                    md.set(NodeId(at as u32), &name, value);
                }
            }
            md
        })
    }

    proptest! {
        #[test]
        fn what_is_built_reads_back(md in graphs()) {
            let bytes = md.to_bytes();
            prop_assert_eq!(bytes.len() % ELEMENT_BYTES, 0);
            prop_assert_eq!(Md::parse(&bytes), Ok(md));
        }

        #[test]
        fn any_bytes_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
            let _ = Md::parse(&bytes);
        }

        #[test]
        fn a_damaged_description_reads_or_is_refused(
            md in graphs(), at in any::<usize>(), byte in any::<u8>(),
        ) {
            let mut bytes = md.to_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(md) = Md::parse(&bytes) {
                for (id, node) in md.nodes() {
                    for target in md.arcs(id, "fwd") {
                        prop_assert!(md.get(target).is_some(), "{}", node.name());
                    }
                }
            }
        }
    }
}
