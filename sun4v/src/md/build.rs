//! From the graph to its bytes.

use super::node::{Md, Node, NodeId, Value};
use super::{ARC, DATA, ELEMENT_BYTES, LIST_END, NODE, NODE_END, STR, VAL, VERSION};
use std::collections::BTreeMap;

/// Where data starts: what holds numbers can be read as numbers.
const DATA_ALIGN: usize = 8;

/// A block of bytes in which equal pieces lie once.
#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
    places: BTreeMap<Vec<u8>, u32>,
}

impl Pool {
    fn place(&mut self, piece: Vec<u8>, align: usize) -> u32 {
        if let Some(&at) = self.places.get(&piece) {
            return at;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&piece);
        self.places.insert(piece, at);
        at
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len().next_multiple_of(ELEMENT_BYTES), 0);
        self.bytes
    }
}

#[derive(Default)]
struct Blocks {
    elements: Vec<u8>,
    names: Pool,
    data: Pool,
}

impl Blocks {
    fn element(&mut self, tag: u8, name: &str, value: u64) {
        let terminated = [name.as_bytes(), &[0]].concat();
        let at =
            if tag == NODE_END || tag == LIST_END { 0 } else { self.names.place(terminated, 1) };
        self.elements.extend_from_slice(&[tag, name.len() as u8, 0, 0]);
        self.elements.extend_from_slice(&at.to_be_bytes());
        self.elements.extend_from_slice(&value.to_be_bytes());
    }

    fn data(&mut self, tag: u8, name: &str, bytes: Vec<u8>) {
        let length = bytes.len() as u64;
        let at = self.data.place(bytes, DATA_ALIGN);
        self.element(tag, name, length << 32 | u64::from(at));
    }

    fn node(&mut self, node: &Node, next: u64, element_of: impl Fn(NodeId) -> u64) {
        self.element(NODE, node.name(), next);
        for (name, value) in node.properties() {
            match value {
                Value::Arc(target) => self.element(ARC, name, element_of(*target)),
                Value::Val(number) => self.element(VAL, name, *number),
                Value::Str(text) => self.data(STR, name, [text.as_bytes(), &[0]].concat()),
                Value::Data(bytes) => self.data(DATA, name, bytes.clone()),
            }
        }
        self.element(NODE_END, "", 0);
    }
}

impl Md {
    /// The binary form; its length is a multiple of 16.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut starts = Vec::with_capacity(self.nodes.len());
        let mut at = 0;
        for node in &self.nodes {
            starts.push(at);
            at += node.properties.len() as u64 + 2;
        }
        let element_of = |id: NodeId| starts.get(id.0 as usize).copied().unwrap_or(at);
        let mut blocks = Blocks::default();
        for (id, node) in self.nodes() {
            blocks.node(node, element_of(NodeId(id.0 + 1)), element_of);
        }
        blocks.element(LIST_END, "", 0);
        let parts = [blocks.elements, blocks.names.finish(), blocks.data.finish()];
        let mut bytes = VERSION.to_be_bytes().to_vec();
        for part in &parts {
            bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        }
        bytes.extend(parts.into_iter().flatten());
        bytes
    }
}
