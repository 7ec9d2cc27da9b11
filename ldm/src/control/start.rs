//! How a control domain begins: API groups, its interrupt queue, its machine
//! description, and what it finds there.

use super::{ControlConf, Kit};
use crate::channel::{ChannelConf, Copier, OpenError};
use crate::memory::Arena;
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::md::{Md, MdError};
use sun4v::native::Ports;
use thiserror::Error;

/// API groups that every part needs: number, major, minor.
const GROUPS: [(u64, u64, u64); 3] = [(0x001, 1, 1), (0x002, 1, 0), (0x101, 1, 0)];
const API_SET_VERSION: u64 = 0;
const MACH_DESC: u64 = 0x01;
const CPU_QCONF: u64 = 0x14;
/// The device mondo queue.
const DEV_MONDO: u64 = 0x3d;
/// Its entries: more than interrupt sources that can fire at once.
const DEV_MONDO_ENTRIES: u64 = 1024;
/// Room for the domain's machine description.
const MD_BYTES: u64 = 256 << 10;

/// Why a control domain cannot begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// A hypercall failed.
    #[error("{0}: {1}")]
    Call(&'static str, HvError),
    /// Its memory is too small.
    #[error("its memory is too small")]
    Memory,
    /// Its machine description does not parse.
    #[error("machine description: {0}")]
    Md(#[from] MdError),
    /// The channel to the hypervisor cannot be opened.
    #[error(transparent)]
    Channel(#[from] OpenError),
    /// Its machine description lacks something.
    #[error("machine description: no {0}")]
    Lacks(&'static str),
}

/// Opens API groups, sets up the interrupt queue, and gives out memory.
pub fn begin(conf: &ControlConf, ports: &mut dyn Ports) -> Result<Kit, StartError> {
    for (group, major, minor) in GROUPS {
        ports
            .core_call(API_SET_VERSION, [group, major, minor, 0, 0])
            .map_err(|error| StartError::Call("api_set_version", error))?;
    }
    let (ra, bytes) = ports.memory();
    let mut arena = Arena::new(ra, bytes);
    let queue = arena.alloc(DEV_MONDO_ENTRIES * 64).ok_or(StartError::Memory)?;
    ports
        .hcall(CPU_QCONF, [DEV_MONDO, queue.ra.0, DEV_MONDO_ENTRIES, 0, 0])
        .map_err(|error| StartError::Call("cpu_qconf", error))?;
    let copier = Copier::new(&mut arena).ok_or(StartError::Memory)?;
    Ok(Kit { arena, copier, cost: conf.cost })
}

/// The endpoint whose other end is the hypervisor.
pub fn hvctl_channel(kit: &mut Kit, ports: &mut dyn Ports) -> Result<ChannelConf, StartError> {
    let block = kit.arena.alloc(MD_BYTES).ok_or(StartError::Memory)?;
    let read = read_md(ports, block.ra);
    kit.arena.free(block);
    let md = read?;
    let port = md
        .named("virtual-device-port")
        .find(|(_, node)| node.text("vldc-svc-name") == Some("hvctl"))
        .ok_or(StartError::Lacks("channel to the hypervisor"))?;
    let endpoint = md
        .arcs(port.0, "fwd")
        .filter_map(|id| md.get(id))
        .find(|node| node.name() == "channel-endpoint")
        .ok_or(StartError::Lacks("endpoint of the channel to the hypervisor"))?;
    let number = |name| endpoint.number(name).and_then(|number| u16::try_from(number).ok());
    match (number("id"), number("tx-ino"), number("rx-ino")) {
        (Some(id), Some(tx_ino), Some(rx_ino)) => Ok(ChannelConf { id: LdcId(id), tx_ino, rx_ino }),
        _ => Err(StartError::Lacks("numbers of the channel to the hypervisor")),
    }
}

fn read_md(ports: &mut dyn Ports, ra: Ra) -> Result<Md, StartError> {
    let [bytes, ..] = ports
        .hcall(MACH_DESC, [ra.0, MD_BYTES, 0, 0, 0])
        .map_err(|error| StartError::Call("mach_desc", error))?;
    let mut md = vec![0; bytes.min(MD_BYTES) as usize];
    ports.read(ra, &mut md);
    Ok(Md::parse(&md)?)
}
