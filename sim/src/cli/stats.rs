//! `--stats`: what was executed, as text for people and as JSON for programs.
//!
//! **Shapes.** The JSON is one object: `engine`, `timing`, `simulated_seconds`,
//! `domains` (an array; each has `chassis`, unless the guest is alone, and `domain`) and
//! `total`. A domain and the total have the same figures:
//!
//! | key | what |
//! | --- | --- |
//! | `instructions` | completed or trapped |
//! | `classes` | the same by class; all classes, in a fixed order |
//! | `cycles` | in which a strand was running, waiting in a spin loop included |
//! | `cycles_per_instruction` | their quotient; null without instructions |
//! | `tlb` | for `instruction` and `data`: `misses`, and of them `walked` (found in a TSB by hardware) and `served` (by the hypervisor) |
//! | `protections` | stores to pages that are not writable |
//! | `traps` | array of `type`, `name`, `count`: traps that the guest served |
//! | `hypercalls` | array of `trap`, `function`, `name`, `count` |
//! | `host` | `seconds` in the engine, summed over host threads, and `mips`: million instructions a second of them |
//!
//! A key is never taken away and never changes its meaning; new ones may come. All but
//! `host` is the same in every run. The text has the same, without what is zero.

use crate::chassis::figures::Figures;
use crate::engine::{Choice, Class};
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use sun4v::hcall::row;
use sun4v::isa::tt;
use sun4v::time::SimTime;

/// The arguments that ask for statistics.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "statistics")]
pub struct Args {
    /// Say afterwards what was executed
    #[arg(long)]
    pub stats: bool,
    /// Write it to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub stats_json: Option<PathBuf>,
}

impl Args {
    /// Is there anybody who wants to know?
    #[must_use]
    pub const fn any(&self) -> bool {
        self.stats || self.stats_json.is_some()
    }

    /// Writes the file that was asked for.
    ///
    /// # Errors
    /// It cannot be written; the text names it.
    pub fn write(&self, report: &Report) -> anyhow::Result<()> {
        let Some(path) = &self.stats_json else { return Ok(()) };
        std::fs::write(path, report.json()).with_context(|| path.display().to_string())
    }
}

/// The host's time since the first call.
#[expect(clippy::disallowed_methods, reason = "how fast we are is host time")]
pub fn stopwatch() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    now.duration_since(*START.get_or_init(|| now))
}

/// All there is to say about a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    engine: String,
    timing: String,
    simulated_seconds: f64,
    domains: Vec<Domain>,
    total: Shown,
}

#[derive(Clone, Debug, Serialize)]
struct Domain {
    #[serde(skip_serializing_if = "Option::is_none")]
    chassis: Option<String>,
    domain: String,
    #[serde(flatten)]
    figures: Shown,
}

/// Figures with names.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    instructions: u64,
    classes: BTreeMap<Class, u64>,
    cycles: u64,
    cycles_per_instruction: Option<f64>,
    tlb: Tlbs,
    protections: u64,
    traps: Vec<Trap>,
    hypercalls: Vec<Hypercall>,
    host: Host,
}

#[derive(Clone, Debug, Serialize)]
struct Tlbs {
    instruction: Misses,
    data: Misses,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Misses {
    misses: u64,
    walked: u64,
    served: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Trap {
    r#type: u16,
    name: &'static str,
    count: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Hypercall {
    trap: u8,
    function: u64,
    name: &'static str,
    count: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Host {
    seconds: f64,
    mips: f64,
}

impl Shown {
    fn of(figures: &Figures) -> Self {
        let misses = |side: usize| {
            let misses = figures.misses[side];
            Misses { misses: misses.all, walked: misses.walked, served: misses.served }
        };
        let traps = figures.traps.iter();
        let traps =
            traps.map(|(&number, &count)| Trap { r#type: number, name: tt::name(number), count });
        let calls = figures.hypercalls.iter().map(|(&(trap, function), &count)| {
            let name = match trap {
                0x80 => row(function).map_or("unknown", |row| row.name),
                _ => tt::name(0x100 + u16::from(trap)),
            };
            Hypercall { trap, function, name, count }
        });
        let (instructions, seconds) = (figures.instructions, figures.host.as_secs_f64());
        Self {
            instructions,
            classes: Class::ALL.into_iter().zip(figures.classes).collect(),
            cycles: figures.cycles,
            cycles_per_instruction: (instructions != 0)
                .then(|| figures.cycles as f64 / instructions as f64),
            tlb: Tlbs { instruction: misses(0), data: misses(1) },
            protections: figures.protections,
            traps: traps.collect(),
            hypercalls: calls.collect(),
            host: Host {
                seconds,
                mips: if seconds > 0.0 { instructions as f64 / seconds / 1e6 } else { 0.0 },
            },
        }
    }

    /// `run` are the lines about the whole run, after the first.
    fn text(&self, run: &str, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{:>16} instructions", self.instructions)?;
        text.push_str(run);
        if let Some(cpi) = self.cycles_per_instruction {
            writeln!(text, "{:>16} cycles, {cpi:.3} an instruction", self.cycles)?;
        }
        let Host { seconds, mips } = self.host;
        writeln!(text, "{seconds:>16.3} s of host time, {mips:.1} MIPS")?;
        for (class, &count) in self.classes.iter().filter(|(_, count)| **count != 0) {
            writeln!(text, "{count:>16} {class}")?;
        }
        for (name, tlb) in [("instruction", self.tlb.instruction), ("data", self.tlb.data)] {
            let Misses { misses, walked, served } = tlb;
            if misses != 0 {
                writeln!(
                    text,
                    "{misses:>16} {name} TLB misses, {walked} walked, {served} by the hypervisor"
                )?;
            }
        }
        if self.protections != 0 {
            writeln!(text, "{:>16} stores to pages that are not writable", self.protections)?;
        }
        for Trap { r#type, name, count } in &self.traps {
            writeln!(text, "{count:>16} traps {type:#05x} {name}")?;
        }
        for Hypercall { trap, function, name, count } in &self.hypercalls {
            writeln!(text, "{count:>16} hypercalls {trap:#x} {function:#x} {name}")?;
        }
        Ok(())
    }
}

impl Report {
    /// The report of a run up to `now`: chassis, where there is one, domain, figures.
    #[must_use]
    pub fn new(
        choice: Choice,
        now: SimTime,
        domains: impl IntoIterator<Item = (Option<String>, String, Figures)>,
    ) -> Self {
        let mut total = Figures::default();
        let mut shown = Vec::new();
        for (chassis, domain, figures) in domains {
            total.add(&figures);
            shown.push(Domain { chassis, domain, figures: Shown::of(&figures) });
        }
        Self {
            engine: choice.engine.to_string(),
            timing: choice.timing.to_string(),
            simulated_seconds: now.as_secs_f64(),
            domains: shown,
            total: Shown::of(&total),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let Self { engine, timing, simulated_seconds, domains, total } = self;
        let run = format!(
            "{simulated_seconds:>16.6} s simulated\n{engine:>16} engine, {timing} timing\n"
        );
        if let [Domain { chassis: None, figures, .. }] = domains.as_slice() {
            return figures.text(&run, text);
        }
        text.push_str(&run);
        for Domain { chassis, domain, figures } in domains {
            writeln!(text, "\n{} {domain}", chassis.as_deref().unwrap_or_default())?;
            figures.text("", text)?;
        }
        writeln!(text, "\nin all")?;
        total.text("", text)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        // There is nothing in it that JSON cannot say.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod test {
    use super::Report;
    use crate::chassis::bare::Bare;
    use crate::chassis::figures::Figures;
    use crate::chassis::image::{Image, Segment};
    use crate::engine::{Choice, Model, Which};
    use sun4v::time::SimTime;

    /// Writes `!` and exits, after a load, a spill and three rounds of a loop.
    fn figures() -> (Choice, SimTime, Figures) {
        let mov = |rd: u32, imm: u32| 2 << 30 | rd << 25 | 2 << 19 | 1 << 13 | imm;
        let call = 0x91d0_2080;
        let program = [
            mov(1, 3),
            0x82a0_6001, // subcc %g1, 1, %g1
            0x12bf_ffff, // bne
            0xc458_2000, // ldx [ %g0 ], %g2
            mov(8, 0x21),
            mov(13, 0x61),
            call,
            mov(8, 0),
            mov(13, 0),
            call,
        ];
        let bytes = program.iter().flat_map(|word| word.to_be_bytes()).collect();
        let image = Image { segments: vec![Segment { ra: 0, bytes, size: 64 }], entry: 0 };
        let choice = Choice { engine: Which::Interp, timing: Model::T2 };
        let mut bare = Bare::boot_image(1, 1 << 20, &image).unwrap();
        bare.board.set_choice(choice);
        bare.finish(SimTime::ms(1));
        (choice, bare.now(), bare.domain().unwrap().figures())
    }

    #[test]
    fn a_guest_alone_is_told_about_without_a_name() {
        let (choice, now, figures) = figures();
        let report = Report::new(choice, now, [(None, "guest".to_owned(), figures)]);
        insta::assert_snapshot!("stats_text", report.text());
        insta::assert_snapshot!("stats_json", report.json());
    }

    #[test]
    fn several_domains_are_named_and_added_up() {
        let (choice, now, figures) = figures();
        let domain = |chassis: &str, domain: &str| {
            (Some(chassis.to_owned()), domain.to_owned(), figures.clone())
        };
        let report = Report::new(choice, now, [domain("t5120", "one"), domain("t5220", "two")]);
        let text = report.text();
        assert!(text.contains("\nt5120 one\n") && text.contains("\nt5220 two\n"), "{text}");
        assert_eq!(report.total.instructions, 2 * figures.instructions);
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["domains"][1]["chassis"], "t5220");
        assert_eq!(json["total"]["classes"]["load"], 6);
    }
}
