//! VLANs of a port: one whose frames have no tag there, and those whose frames have.
//!
//! **Source.** IEEE 802.1Q; `port-vlan-id` and `vlan-id` of the machine description.

/// Number of a VLAN, 1 to 4094.
pub type VlanId = u16;

/// A VLAN tag's EtherType.
pub const TAG: [u8; 2] = [0x81, 0x00];
/// Bytes of a VLAN tag.
pub const TAG_BYTES: usize = 4;
/// Bits of a tag that number the VLAN.
pub const ID_MASK: u16 = 0xfff;
/// A number that means no VLAN.
pub const RESERVED: VlanId = 0xfff;

/// What a port is a member of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlans {
    /// The VLAN of frames without a tag.
    pub untagged: VlanId,
    /// VLANs of frames with one.
    pub tagged: Vec<VlanId>,
}

impl Default for Vlans {
    fn default() -> Self {
        Self { untagged: 1, tagged: Vec::new() }
    }
}

/// How frames of a VLAN look at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Without a tag.
    Untagged,
    /// With one.
    Tagged,
}

impl Form {
    /// Bytes that it adds to a frame.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Untagged => 0,
            Self::Tagged => TAG_BYTES,
        }
    }
}

impl Vlans {
    /// From the numbers that the manager keeps.
    #[must_use]
    pub fn new(untagged: u64, tagged: &[u64]) -> Self {
        let id = |number: &u64| *number as VlanId & ID_MASK;
        Self { untagged: id(&untagged), tagged: tagged.iter().map(id).collect() }
    }

    /// How frames of `vlan` look here; `None` when the port is no member.
    #[must_use]
    pub fn form(&self, vlan: VlanId) -> Option<Form> {
        if vlan == self.untagged {
            Some(Form::Untagged)
        } else {
            self.tagged.contains(&vlan).then_some(Form::Tagged)
        }
    }
}
