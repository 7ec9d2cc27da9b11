//! What the hypervisor asks of a domain's strands and of memory, answered by
//! [`Ram`].

use crate::mem::Ram;
use hv::platform::Memory;
use sun4v::addr::Pa;

impl Memory for Ram {
    fn end(&self) -> Pa {
        Pa(self.bytes())
    }
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        Self::read(self, pa, bytes);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        Self::write(self, pa, bytes);
    }
    fn zero(&self, pa: Pa, bytes: u64) {
        Self::zero(self, pa, bytes);
    }
    fn log_start(&self, pa: Pa, bytes: u64) {
        self.log().start(pa, bytes);
    }
    fn log_stop(&self, pa: Pa, bytes: u64) {
        self.log().stop(pa, bytes);
    }
    fn log_is_dirty(&self, pa: Pa) -> bool {
        self.log().is_dirty(pa)
    }
    fn log_clean(&self, pa: Pa) {
        self.log().clean(pa);
    }
    fn log_dirty(&self, pa: Pa) {
        self.log().mark(pa);
    }
}
