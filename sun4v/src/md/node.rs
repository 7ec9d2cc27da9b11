//! The graph in memory.

/// A node of an [`Md`], by its place among the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// To another node of the same graph.
    Arc(NodeId),
    /// A number.
    Val(u64),
    /// A string; it has no NUL inside.
    Str(String),
    /// Bytes, often several strings that each end with a NUL.
    Data(Vec<u8>),
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub(super) name: String,
    pub(super) properties: Vec<(String, Value)>,
}

impl Node {
    /// Its name, such as `cpu`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its properties, arcs among them, in order.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.properties.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn find<'a, T>(&'a self, name: &str, pick: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        self.properties.iter().find_map(|(own, value)| (own == name).then(|| pick(value))?)
    }

    /// The number of this name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.find(name, |value| if let Value::Val(number) = value { Some(*number) } else { None })
    }

    /// The string of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(
            name,
            |value| if let Value::Str(text) = value { Some(text.as_str()) } else { None },
        )
    }

    /// The bytes of this name.
    #[must_use]
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        self.find(
            name,
            |value| if let Value::Data(bytes) = value { Some(bytes.as_slice()) } else { None },
        )
    }
}

/// A machine description. Node 0, if there is one, is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Md {
    pub(super) nodes: Vec<Node>,
}

impl Md {
    /// Node 0.
    #[must_use]
    pub fn root(&self) -> Option<NodeId> {
        (!self.nodes.is_empty()).then_some(NodeId(0))
    }

    /// A node by its place; `None` behind the last.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// A node of this graph.
    ///
    /// # Panics
    /// When `id` comes from another, larger graph: the caller's mistake.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Every node, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(at, node)| (NodeId(at as u32), node))
    }

    /// Every node of this name, in order.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes().filter(move |(_, node)| node.name == name)
    }

    /// Where the arcs of this name lead from a node of this graph, in order.
    pub fn arcs(&self, from: NodeId, name: &str) -> impl Iterator<Item = NodeId> {
        self.node(from).properties.iter().filter_map(move |(own, value)| match value {
            Value::Arc(target) if own == name => Some(*target),
            _ => None,
        })
    }

    /// The nodes named `kind` that arcs named `arc` lead to.
    pub fn linked<'a>(
        &'a self,
        from: NodeId,
        arc: &str,
        kind: &str,
    ) -> impl Iterator<Item = (NodeId, &'a Node)> {
        self.arcs(from, arc)
            .map(|id| (id, self.node(id)))
            .filter(move |(_, node)| node.name == kind)
    }

    /// The index of a node's first element in the binary form.
    #[must_use]
    pub fn element(&self, id: NodeId) -> u32 {
        self.nodes.iter().take(id.0 as usize).map(|node| node.properties.len() as u32 + 2).sum()
    }

    /// Adds a node without arcs; the first one is the root.
    pub fn add(&mut self, name: &str) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { name: clean(name), properties: Vec::new() });
        id
    }

    /// Adds a node below another: `fwd` there, `back` from there.
    pub fn child(&mut self, parent: NodeId, name: &str) -> NodeId {
        let id = self.add(name);
        self.link(parent, id);
        id
    }

    /// Arcs between two nodes: `fwd` from the first, `back` from the second.
    pub fn link(&mut self, from: NodeId, to: NodeId) -> &mut Self {
        self.set(from, "fwd", Value::Arc(to)).set(to, "back", Value::Arc(from))
    }

    /// Adds a property. A string is cut at its first NUL.
    ///
    /// # Panics
    /// When a node is not of this graph: the caller's mistake.
    pub fn set(&mut self, id: NodeId, name: &str, value: Value) -> &mut Self {
        let value = match value {
            Value::Str(text) => Value::Str(clean(&text)),
            Value::Arc(target) => {
                assert!((target.0 as usize) < self.nodes.len(), "an arc needs a node at its end");
                Value::Arc(target)
            }
            other => other,
        };
        self.nodes[id.0 as usize].properties.push((clean(name), value));
        self
    }

    /// Adds a number.
    pub fn val(&mut self, id: NodeId, name: &str, number: u64) -> &mut Self {
        self.set(id, name, Value::Val(number))
    }

    /// Adds a string.
    pub fn string(&mut self, id: NodeId, name: &str, text: &str) -> &mut Self {
        self.set(id, name, Value::Str(text.to_owned()))
    }

    /// Adds bytes.
    pub fn bytes(&mut self, id: NodeId, name: &str, bytes: &[u8]) -> &mut Self {
        self.set(id, name, Value::Data(bytes.to_vec()))
    }

    /// Adds strings as bytes, each with its NUL.
    pub fn strings<'a>(
        &mut self,
        id: NodeId,
        name: &str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0])).collect();
        self.set(id, name, Value::Data(bytes))
    }

    /// Adds numbers as bytes.
    pub fn numbers(&mut self, id: NodeId, name: &str, numbers: &[u64]) -> &mut Self {
        let bytes = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        self.set(id, name, Value::Data(bytes))
    }
}

fn clean(text: &str) -> String {
    text.split('\0').next().unwrap_or_default().to_owned()
}
