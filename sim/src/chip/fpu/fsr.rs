//! What an operation leaves in FSR.

use super::Exc;

const FTT: u64 = 7 << 14;
const CEXC: u64 = 0x1f;

/// Folds the exceptions of an operation into FSR.
///
/// `Ok` is FSR after an operation that completes: cexc is replaced, aexc grows,
/// ftt is 0; the caller writes the result (or fccN). `Err` is FSR when the enabled
/// mask asks for fp_exception_ieee_754: ftt is 1, cexc has the one bit that traps,
/// aexc is as it was; the caller writes nothing else and traps.
///
/// Overflow and underflow go before inexact. A tiny result that is exact
/// ([`Exc::TINY`]) is underflow when underflow traps, and no exception otherwise.
///
/// [`Exc::UNFINISHED`] is an `Err` with ftt 2 and all else as it was: the trap is
/// fp_exception_other then.
#[inline]
pub fn deliver(fsr: u64, exc: Exc) -> Result<u64, u64> {
    let kept = fsr & !(FTT | CEXC);
    if exc.0 == 0 {
        return Ok(kept);
    }
    if exc.0 & Exc::UNFINISHED != 0 {
        return Err(fsr & !FTT | 2 << 14);
    }
    let enabled = (fsr >> 23) as u8 & 0x1f;
    let mut raised = exc.cexc();
    if exc.0 & Exc::TINY != 0 && enabled & Exc::UF != 0 {
        raised |= Exc::UF;
    }
    let trapping = raised & enabled;
    if trapping == 0 {
        let raised = u64::from(raised);
        return Ok(kept | raised << 5 | raised);
    }
    let first = [Exc::NV, Exc::DZ, Exc::OF, Exc::UF, Exc::NX]
        .into_iter()
        .find(|bit| trapping & bit != 0)
        .unwrap_or(Exc::NX);
    Err(kept | 1 << 14 | u64::from(first))
}
