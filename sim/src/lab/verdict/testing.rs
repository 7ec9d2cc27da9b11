//! Made-up records: the article's story as it would be if everything held.

use super::super::record::Fact;
use sun4v::native::Observation;
use sun4v::time::{SimTime, T2_HZ};

/// The answers and facts of a story in milliseconds.
#[derive(Default)]
pub struct Story {
    pub facts: Vec<Fact>,
    next_id: u64,
    /// When domain stood still: from, until.
    still: Vec<(u64, u64)>,
    /// While memory moved: from, until, source.
    copies: Vec<(u64, u64, &'static str)>,
}

/// What a chassis has: name, state, flags, memory.
type Have<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A live migration to be told.
pub struct Plan {
    pub typed: u64,
    pub source: &'static str,
    pub target: &'static str,
    pub memory: &'static str,
    pub pages: u64,
    pub copy: u64,
    pub pause: u64,
}

pub fn printed(rows: &[Have<'_>]) -> String {
    let row = |cells: [&str; 8]| {
        let [name, state, flags, cons, vcpus, memory, util, uptime] = cells;
        format!(
            "{name:<16} {state:<10} {flags:<7} {cons:<7} {vcpus:<5} {memory:<8} {util:<5} {uptime}\n"
        )
    };
    let mut text = row(["NAME", "STATE", "FLAGS", "CONS", "VCPU", "MEMORY", "UTIL", "UPTIME"]);
    text += &row(["primary", "active", "-n-cv-", "SP", "16", "4G", "0.5%", "1m"]);
    for &(name, state, flags, memory) in rows {
        let cons = if state == "inactive" { "" } else { "5000" };
        text += &row([name, state, flags, cons, "8", memory, "", ""]);
    }
    text
}

impl Story {
    fn note(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    fn command(&mut self, place: &str, line: &str, typed: u64, ends: u64, print: &str) {
        self.next_id += 1;
        self.note(Fact::typed(SimTime::ms(typed), place, self.next_id, line));
        self.note(Fact::answered(SimTime::ms(ends), place, self.next_id, line, 0, print));
    }

    pub fn list(&mut self, place: &str, at: u64, rows: &[Have<'_>]) {
        self.command(place, "ldm list", at, at + 20, &printed(rows));
    }

    fn observe(
        &mut self,
        place: &str,
        at: u64,
        what: &'static str,
        values: &[(&'static str, u64)],
    ) {
        let (subject, name) = ("migration", "rover".to_owned());
        let observation = Observation { subject, what, name, values: values.to_vec() };
        self.note(Fact::observed(SimTime::ms(at), place, observation));
    }

    fn round(&mut self, place: &str, at: u64, figures: [u64; 4], took: u64) {
        let [round, pages, packed, suspended] = figures;
        let values = [
            ("round", round),
            ("pages", pages),
            ("zero_pages", pages / 2),
            ("same_pages", 0),
            ("raw_bytes", pages / 2 * 8192),
            ("wire_bytes", packed),
            ("suspended", suspended),
            ("took_us", took * 1000),
        ];
        self.observe(place, at, "round", &values);
    }

    pub fn migrate(&mut self, plan: &Plan) {
        let &Plan { typed, source, target, memory, pages, copy, pause } = plan;
        let running = ("rover", "active", "-n----", memory);
        self.list(source, typed - 2000, &[running]);
        self.list(target, typed - 1900, &[]);
        let copying = typed + 7000;
        let copied = copying + copy;
        let suspended = copied + 250;
        let resumed = suspended + pause;
        let ends = resumed + 4300;
        self.still.push((suspended, resumed));
        self.copies.push((copying, copied, source));
        self.observe(source, typed + 3500, "phase", &[("phase", 1)]);
        self.observe(source, copying, "phase", &[("phase", 2)]);
        self.list(source, typed + 9000, &[("rover", "active", "-n---s", memory)]);
        self.list(target, typed + 9100, &[("rover", "bound", "-----t", memory)]);
        self.round(source, copied - 300, [1, pages, pages * 2000, 0], copy - 300);
        self.round(source, copied, [2, pages / 100, pages * 20, 0], 300);
        self.observe(source, copied, "phase", &[("phase", 3)]);
        self.observe(source, suspended, "suspended", &[]);
        self.round(source, suspended + 40, [3, 50, 100_000, 1], 40);
        for place in [source, target] {
            let fact = Fact::new(SimTime::ms(suspended + 49), place, "memory", "digest", "rover");
            self.note(fact.saying("5e1f"));
        }
        self.observe(source, suspended + 50, "phase", &[("phase", 4)]);
        self.observe(source, suspended + 60, "phase", &[("phase", 5)]);
        self.observe(target, resumed, "resumed", &[]);
        self.observe(target, resumed, "taken over", &[("opened_bytes", pages * 2100)]);
        let sealed = [("pause_us", pause * 1000), ("sealed_bytes", pages * 2100)];
        self.observe(source, resumed + 1, "handed over", &sealed);
        self.observe(target, resumed + 1300, "arrived", &[]);
        self.observe(source, ends, "done", &[("took_us", 1)]);
        let line = format!("ldm migrate-domain -p /root/password rover {target}");
        self.command(source, &line, typed, ends, "");
        self.list(source, ends + 1000, &[]);
        self.list(target, ends + 1020, &[running]);
    }

    /// When something that is due at `at` happens.
    fn due(&self, at: u64) -> u64 {
        let still = self.still.iter().find(|&&(from, until)| from <= at && at < until);
        still.map_or(at, |&(_, until)| until + 3)
    }

    /// Rover runs: pings, keys, drawing, clock.
    pub fn life(&mut self, from: u64, until: u64) {
        for (name, interval) in [("rover/1s", 1000), ("rover/100ms", 100)] {
            let fact = |at, what| Fact::new(at, "pinger", "ping", what, name);
            let start = fact(SimTime::ms(from), "start").with("interval_us", interval * 1000);
            self.note(start);
            let sent = (until - from) / interval;
            for n in 0..sent {
                let asked = from + n * interval;
                let arrives = SimTime::ms(self.due(asked)).plus(SimTime::us(180));
                let took = arrives.since(SimTime::ms(asked)).0 / 1000;
                let reply = fact(arrives, "reply").with("sequence", n).with("round_trip_ns", took);
                self.note(reply);
            }
            self.note(fact(SimTime::ms(until), "stop").with("sent", sent));
        }
        let seat = |at, subject, what| Fact::new(at, "workstation", subject, what, "rover");
        self.note(seat(SimTime::ms(from), "session", "connected").with("port", 50_000));
        for n in 0..(until - from) / 100 {
            let pressed = from + n * 100 + 50;
            let seen = self.due(pressed + 2);
            let fact = seat(SimTime::ms(seen), "echo", "seen").with("sequence", n);
            self.note(fact.with("delay_ns", (seen - pressed) * 1_000_000).saying("t"));
        }
        self.note(seat(SimTime::ms(until), "echo", "waiting"));
        self.note(seat(SimTime::ms(until), "session", "closed").saying("us"));
        for n in 0..(until - from) / 50 {
            let at = SimTime::ms(self.due(from + n * 50));
            self.note(seat(at, "drawing", "frame").with("sequence", n));
        }
        for n in 1..(until - from) / 2000 {
            let at = SimTime::ms(self.due(from + n * 2000));
            let line = format!("clock: {n} 1308218400 {}.000", n * 2);
            self.note(Fact::console(at, "t5120", "rover", &line));
        }
    }

    /// Samples of both control domains.
    fn samples(&mut self, until: u64) {
        for n in 1..until / 500 {
            let at = n * 500;
            for place in ["t5120", "t5220"] {
                let copy = self.copies.iter().find(|&&(from, to, _)| from <= at && at <= to);
                let permille = match copy {
                    Some(&(.., source)) if source == place => 960,
                    Some(_) => 240,
                    None => 8,
                };
                let fact = Fact::new(SimTime::ms(at), place, "cpu", "sample", "primary");
                let fact = fact.with("span_us", 500_000).with("vcpus", 16);
                self.note(fact.with("busy_permille", permille).with("busiest_permille", permille));
                let sealed = at * 1_000_000;
                self.note(Fact::crypto(SimTime::ms(at), place, sealed, sealed));
            }
        }
    }

    fn sorted(mut self) -> Vec<Fact> {
        self.facts.sort_by_key(|fact| fact.time);
        self.facts
    }
}

/// The article's story.
pub fn article() -> Vec<Fact> {
    let mut story = Story::default();
    story.note(Fact::run_begins("article", 1, SimTime::us(10)));
    for model in ["t5120", "t5220"] {
        story.note(Fact::power_on(SimTime::ZERO, model, model, T2_HZ, 16));
    }
    for (at, client) in [(3000, "192.168.2.20"), (20_000, "192.168.2.22")] {
        for image in ["rover0.img", "rover1.img"] {
            let fact = Fact::new(SimTime::ms(at), "nas", "nfs", "open", image);
            story.note(fact.saying(client));
        }
    }
    let there = Plan {
        typed: 10_000,
        source: "t5120",
        target: "t5220",
        memory: "512M",
        pages: 65_536,
        copy: 3700,
        pause: 210,
    };
    story.migrate(&there);
    let back = Plan { typed: 35_000, source: "t5220", target: "t5120", copy: 3300, ..there };
    story.migrate(&back);
    let large =
        Plan { typed: 95_000, memory: "2G", pages: 262_144, copy: 13_000, pause: 320, ..there };
    story.migrate(&large);
    story.life(5000, 70_000);
    story.life(80_000, 140_000);
    for (at, place, line) in [
        (94_000, "t5120", "scrub: started, 32768 blocks on each of 2 disks"),
        (95_500, "t5120", "scrub: 10% 0 repaired"),
        (
            118_000,
            "t5220",
            "scrub: done, 32768 blocks, 1 repaired, 0 lost, 0 errors, 10 MB/s a side",
        ),
    ] {
        story.note(Fact::console(SimTime::ms(at), place, "rover", line));
    }
    for (image, writes) in [("rover0.img", 0), ("rover1.img", 1)] {
        let fact = Fact::new(SimTime::ms(141_000), "nas", "image", "use", image);
        story.note(fact.with("writes", writes).with("written_bytes", writes * 8192));
    }
    let spare = ("spare", "inactive", "------", "1G");
    story.list("t5120", 142_000, &[spare]);
    story.command("t5120", "ldm migrate-domain -p /root/p spare t5220", 143_000, 143_400, "");
    for (at, what) in [(143_100, "phase"), (143_300, "handed over"), (143_400, "done")] {
        let fact = Fact::new(SimTime::ms(at), "t5120", "migration", what, "spare");
        story.note(if what == "phase" { fact.with("phase", 1) } else { fact });
    }
    story.list("t5120", 144_000, &[]);
    story.list("t5220", 144_100, &[("rover", "active", "-n----", "2G"), spare]);
    story.samples(145_000);
    story.sorted()
}
