//! Numbered things that arrive in any order and leave in order.

use std::collections::BTreeMap;

/// Holds back what is early.
#[derive(Clone, Debug)]
pub struct InOrder<T> {
    next: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { next: 0, early: BTreeMap::new() }
    }
}

impl<T> InOrder<T> {
    /// Number `number` has arrived.
    pub fn put(&mut self, number: u64, thing: T) {
        self.early.insert(number, thing);
    }

    /// The next in order, if it has arrived.
    pub fn pop(&mut self) -> Option<T> {
        let thing = self.early.remove(&self.next)?;
        self.next += 1;
        Some(thing)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.early.len()
    }
}

#[cfg(test)]
mod test {
    use super::InOrder;

    #[test]
    fn what_is_early_waits() {
        let mut order = InOrder::default();
        order.put(1, 'b');
        assert_eq!((order.pop(), order.waiting()), (None, 1));
        order.put(0, 'a');
        assert_eq!([order.pop(), order.pop(), order.pop()], [Some('a'), Some('b'), None]);
    }
}
