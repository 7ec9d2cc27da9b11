//! `ldm list`.

use super::{VERSION, View, duration, percent};
use crate::cli::size;

pub(super) const HEADER: &str =
    "NAME             STATE      FLAGS   CONS    VCPU  MEMORY   UTIL  UPTIME";

pub(super) fn table(views: &[View<'_>]) -> String {
    let mut out = format!("{HEADER}\n");
    for view in views {
        out.push_str(&row(view));
        out.push('\n');
    }
    out
}

/// A domain's row. Names that are too long push it; nothing is cut.
pub(super) fn row(view: &View<'_>) -> String {
    let memory = view.memory();
    let memory = if memory == 0 { String::new() } else { size::show(memory) };
    let util = view.live.as_ref().and_then(|live| live.util).map_or(String::new(), percent);
    let uptime = view.live.as_ref().map_or(String::new(), |live| duration(live.uptime));
    let row = format!(
        "{:<16} {:<10} {:<7} {:<7} {:<5} {:<8} {:<5} {}",
        view.domain.name,
        view.state,
        view.flag_letters(),
        view.cons(),
        view.vcpus(),
        memory,
        util,
        uptime
    );
    row.trim_end().to_owned()
}

pub(super) fn records(views: &[View<'_>]) -> String {
    let mut out = VERSION.to_owned();
    for view in views {
        out.push_str(&record(view, &view.flag_letters()));
    }
    out
}

/// `DOMAIN|...`, in the order that scripts cut by.
pub(super) fn record(view: &View<'_>, flags: &str) -> String {
    let mem = view.memory();
    let mem = if mem == 0 { String::new() } else { mem.to_string() };
    let live = view.live.as_ref();
    let tenths = |tenths: u64| format!("{}.{}", tenths / 10, tenths % 10);
    let util = live.and_then(|live| live.util).map_or(String::new(), tenths);
    let uptime = live.map_or(String::new(), |live| live.uptime.to_string());
    format!(
        "DOMAIN|name={}|state={}|flags={flags}|cons={}|ncpu={}|mem={mem}|util={util}|uptime={uptime}\n",
        view.domain.name,
        view.state,
        view.cons(),
        view.vcpus(),
    )
}
