//! From bytes to the graph.

use super::node::{Md, Node, NodeId, Value};
use super::{ARC, DATA, ELEMENT_BYTES, LIST_END, NODE, NODE_END, NOOP, STR, VAL, VERSION};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why bytes are not a machine description. Elements are counted from the start
/// of the node block.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MdError {
    /// Header and blocks are longer than the bytes.
    #[error("it ends too early")]
    TooShort,
    /// Another version than [`VERSION`].
    #[error("version {0:#x}")]
    Version(u32),
    /// A tag that has no meaning, or none here.
    #[error("element {element}: tag {tag:#04x}")]
    Tag {
        /// Which element.
        element: u32,
        /// Its tag.
        tag: u8,
    },
    /// A name outside the name block, or not text.
    #[error("element {element}: its name is outside the name block")]
    Name {
        /// Which element.
        element: u32,
    },
    /// Data outside the data block, or a string that is not text.
    #[error("element {element}: its data are outside the data block or not text")]
    Data {
        /// Which element.
        element: u32,
    },
    /// An arc to something that is not a node.
    #[error("element {element}: arc to {target}, where no node is")]
    Arc {
        /// Which element.
        element: u32,
        /// Where it leads.
        target: u64,
    },
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The text up to the first NUL.
fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&bytes[..end]).ok()
}

struct Element<'a> {
    index: u32,
    tag: u8,
    name_at: usize,
    value: u64,
    names: &'a [u8],
    data: &'a [u8],
}

impl<'a> Element<'a> {
    fn name(&self) -> Result<String, MdError> {
        let name = self.names.get(self.name_at..).and_then(text);
        name.map(str::to_owned).ok_or(MdError::Name { element: self.index })
    }

    fn data(&self) -> Result<&'a [u8], MdError> {
        let (length, at) = ((self.value >> 32) as usize, (self.value as u32) as usize);
        let data = self.data.get(at..).and_then(|rest| rest.get(..length));
        data.ok_or(MdError::Data { element: self.index })
    }

    /// The value of a property; arcs still by element.
    fn property(&self) -> Result<Value, MdError> {
        Ok(match self.tag {
            VAL => Value::Val(self.value),
            STR => {
                let text = text(self.data()?).ok_or(MdError::Data { element: self.index })?;
                Value::Str(text.to_owned())
            }
            DATA => Value::Data(self.data()?.to_vec()),
            tag => return Err(MdError::Tag { element: self.index, tag }),
        })
    }
}

impl Md {
    /// Bytes that the description beginning with `header` has in all; `None` when
    /// there are fewer than 16 bytes.
    #[must_use]
    pub fn total_bytes(header: &[u8]) -> Option<u64> {
        let sizes = header.get(4..ELEMENT_BYTES)?.chunks(4).map(number);
        Some(ELEMENT_BYTES as u64 + sizes.sum::<u64>())
    }

    /// Reads the binary form. Bytes behind it are ignored.
    ///
    /// # Errors
    /// See [`MdError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MdError> {
        let total = Self::total_bytes(bytes).ok_or(MdError::TooShort)?;
        let version = number(&bytes[..4]) as u32;
        if version != VERSION {
            return Err(MdError::Version(version));
        }
        let size = |at: usize| number(&bytes[at..at + 4]) as usize;
        let whole = usize::try_from(total).ok().and_then(|total| bytes.get(..total));
        let blocks = &whole.ok_or(MdError::TooShort)?[ELEMENT_BYTES..];
        let (elements, rest) = blocks.split_at(size(4));
        let (names, data) = rest.split_at(size(8));
        Self::nodes_of(elements, names, data)
    }

    fn nodes_of(elements: &[u8], names: &[u8], data: &[u8]) -> Result<Self, MdError> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut starts = BTreeMap::new();
        let mut arcs = Vec::new();
        let mut open = false;
        for (index, bytes) in elements.chunks_exact(ELEMENT_BYTES).enumerate() {
            let element = Element {
                index: index as u32,
                tag: bytes[0],
                name_at: number(&bytes[4..8]) as usize,
                value: number(&bytes[8..]),
                names,
                data,
            };
            let node = if open { nodes.last_mut() } else { None };
            match (element.tag, node) {
                (NOOP, _) => {}
                (LIST_END, None) => break,
                (NODE, None) => {
                    starts.insert(index as u64, NodeId(nodes.len() as u32));
                    nodes.push(Node { name: element.name()?, properties: Vec::new() });
                    open = true;
                }
                (NODE_END, Some(_)) => open = false,
                (ARC, Some(node)) => {
                    let place = node.properties.len();
                    node.properties.push((element.name()?, Value::Val(element.value)));
                    arcs.push((nodes.len() - 1, place, element.index, element.value));
                }
                (_, Some(node)) => node.properties.push((element.name()?, element.property()?)),
                (tag, None) => return Err(MdError::Tag { element: index as u32, tag }),
            }
        }
        if open {
            return Err(MdError::TooShort);
        }
        for (node, place, element, target) in arcs {
            let id = starts.get(&target).ok_or(MdError::Arc { element, target })?;
            nodes[node].properties[place].1 = Value::Arc(*id);
        }
        Ok(Self { nodes })
    }
}
