//! A chassis with a neighbour and another domain, from power-on to where only the
//! control domain is left.

use sha2::{Digest, Sha256};
use sim::chassis::world::World;
use sim::cli::lab::Options;
use sim::lab::record::Fact;
use sim::lab::script::Prompt;
use std::collections::BTreeMap;
use sun4v::addr::Pa;
use sun4v::time::SimTime;

/// The scenario; its script ends where both domains are bound.
const SCENARIO: &str = include_str!("../../../testdata/scenarios/hostile.toml");
/// Between two looks.
const STRIDE: SimTime = SimTime::ms(1);
/// The neighbour is done after this time at the latest.
const NEIGHBOUR_BY: SimTime = SimTime::ms(1500);
/// A command is answered within this time.
const ANSWER_BY: SimTime = SimTime::secs(5);
/// Pages are compared.
const PAGE: u64 = 8192;
/// So much free memory is looked at behind all guests'.
const BEYOND: u64 = 64 << 20;

/// What is left of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The neighbour's last words.
    pub result: String,
    /// Digest of the memory that it computed in.
    pub memory: String,
    /// Calls that vCPUs of the other domain said they made.
    pub calls: u64,
    /// How many of them were granted.
    pub granted: u64,
    /// How often that domain ended.
    pub ends: u64,
}

/// A world with both domains bound.
pub struct Run {
    world: World,
    facts: Vec<Fact>,
}

impl Run {
    /// Powers it on; the other domain is `role`.
    pub fn power_on(role: &str, seed: u64) -> Self {
        let text = SCENARIO
            .replace("role=hostile", &format!("role={role}"))
            .replace("set-variable seed=1 ", &format!("set-variable seed={seed} "));
        let name = format!("hostile-{role}-{seed}.toml");
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        let options =
            Options { scenario: Some(path.clone()), threads: Some(1), ..Options::default() };
        let (scenario, file) = options.scenario().unwrap();
        let mut world = options.power_on(&scenario, &file).unwrap();
        while !world.is_done() {
            world.run_script_until(world.now().plus(SimTime::ms(50))).unwrap();
        }
        std::fs::remove_file(path).unwrap();
        Self { world, facts: Vec::new() }
    }

    /// Types a line at the control domain's prompt; what it printed, and its status.
    fn typed(&mut self, line: &str) -> (String, u64) {
        let prompt = Prompt { place: "t5120".into(), line: line.into() };
        let id = self.world.type_line(&prompt).unwrap();
        let until = self.world.now().plus(ANSWER_BY);
        self.world.run_until_answered(id, until).unwrap();
        self.facts.extend(self.world.take_facts());
        let answers = self.world.take_answers();
        let answer = answers.into_iter().find(|answer| answer.id == id);
        let reply = answer.unwrap_or_else(|| panic!("`{line}` is not answered")).reply;
        (format!("{}{}", reply.stdout, reply.stderr), u64::from(reply.status))
    }

    /// Types a line that must succeed.
    fn must(&mut self, line: &str) -> String {
        let (printed, status) = self.typed(line);
        assert_eq!(status, 0, "`{line}`: {printed}");
        printed
    }

    /// Pages that no guest owns and that are not zero, by their digest: the
    /// hypervisor's own memory, boot image and machine descriptions, and what is free
    /// up to [`BEYOND`] behind the last guest.
    fn unowned(&self) -> BTreeMap<u64, [u8; 32]> {
        let server = &self.world.servers()[0];
        let ram = server.board().ram();
        let owned = |pa: u64| {
            let blocks = server.hypervisor().config().mblocks.iter();
            blocks.map(|block| block.range).any(|r| (r.pa.0..r.pa.0 + r.size).contains(&pa))
        };
        let blocks = server.hypervisor().config().mblocks.iter();
        let end = blocks.map(|block| block.range.pa.0 + block.range.size).max().unwrap();
        let mut page = vec![0; PAGE as usize];
        let mut pages = BTreeMap::new();
        for pa in (0..ram.bytes().min(end + BEYOND)).step_by(PAGE as usize).filter(|&pa| !owned(pa))
        {
            ram.read(Pa(pa), &mut page);
            if page.iter().any(|&byte| byte != 0) {
                pages.insert(pa, Sha256::digest(&page).into());
            }
        }
        pages
    }

    /// Digest of a domain's memory from a real address to its end.
    fn digest(&self, domain: &str, from: u64) -> String {
        let server = &self.world.servers()[0];
        let hv = server.hypervisor();
        let conf = hv.config().guests.iter().find(|guest| guest.name == domain).unwrap();
        let mut hash = Sha256::new();
        let mut page = vec![0; PAGE as usize];
        for range in hv.guest(conf.id).unwrap().map.ranges() {
            for at in (range.ra.0..range.ra.0 + range.size).step_by(PAGE as usize) {
                if at >= from {
                    server.board().ram().read(Pa(range.pa.0 + at - range.ra.0), &mut page);
                    hash.update(&page);
                }
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn lines(&self, domain: &str) -> impl Iterator<Item = &str> {
        let lines = self.facts.iter().filter(|fact| fact.is("console", "line"));
        let domain = domain.to_owned();
        lines.filter(move |fact| fact.name == domain).map(|fact| fact.text.as_str())
    }

    fn ended(&self, domain: &str) -> u64 {
        let ends = self.facts.iter().filter(|fact| fact.is("domain", "exited"));
        ends.filter(|fact| fact.name == domain).count() as u64
    }

    /// Both run until the neighbour is done; then the other one is taken away.
    pub fn outcome(mut self) -> Outcome {
        self.must("ldm start-domain hostile");
        self.must("ldm start-domain neighbour");
        let before = self.unowned();
        let until = self.world.now().plus(NEIGHBOUR_BY);
        let mut ends = 0;
        while self.ended("neighbour") == 0 {
            assert!(self.world.now() < until, "the neighbour is not done: {:?}", self.said());
            self.world.run_until(self.world.now().plus(STRIDE)).unwrap();
            self.facts.extend(self.world.take_facts());
            if self.ended("hostile") > ends {
                ends += 1;
                self.must("ldm start-domain hostile");
            }
        }
        let result = self.lines("neighbour").find(|line| line.starts_with("neighbour: "));
        let result = result.unwrap_or_else(|| panic!("{:?}", self.said())).to_owned();
        let at = result.split(" at 0x").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        let memory = self.digest("neighbour", u64::from_str_radix(at, 16).unwrap());
        if std::env::var_os("LDOMLAB_HOSTILE_LINES").is_some() {
            let lines = self.facts.iter().filter(|fact| fact.is("console", "line"));
            lines.for_each(|fact| eprintln!("{} {}| {:?}", fact.time.0, fact.name, fact.text));
        }
        let after = self.unowned();
        let changed = before.keys().chain(after.keys()).find(|pa| before.get(pa) != after.get(pa));
        assert_eq!(changed, None, "memory that no guest owns was written");
        self.take_away();
        let (calls, granted) = self.reported();
        Outcome { result, memory, calls, granted, ends }
    }

    /// The operator stops and unbinds the other domain, and the list says so.
    fn take_away(&mut self) {
        let list = self.must("ldm list");
        let state = |list: &str, domain: &str| {
            let line = list.lines().find(|line| line.starts_with(domain));
            line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("gone").to_owned()
        };
        assert_eq!(state(&list, "primary"), "active", "{list}");
        assert_eq!(state(&list, "neighbour"), "bound", "{list}");
        if state(&list, "hostile") == "active" {
            let (printed, status) = self.typed("ldm stop-domain -f hostile");
            // It may have ended by itself in between.
            assert!(status == 0 || printed.contains("not active"), "{printed}");
        }
        self.must("ldm unbind-domain hostile");
        self.must("ldm unbind-domain neighbour");
        let list = self.must("ldm list");
        assert_eq!(state(&list, "hostile"), "inactive", "{list}");
        // Its resources are free again: another domain can have them.
        self.must("ldm bind-domain neighbour");
        self.must("ldm remove-domain hostile");
    }

    /// What the virtual CPUs of the hostile domain said last about their calls.
    fn reported(&self) -> (u64, u64) {
        let mut last = BTreeMap::new();
        for line in self.lines("hostile").filter_map(|line| line.strip_prefix("hostile: v")) {
            let words: Vec<&str> = line.split(' ').collect();
            if let [vcpu, "turns", _, "calls", calls, "granted", granted, ..] = words[..]
                && let (Ok(calls), Ok(granted)) = (calls.parse::<u64>(), granted.parse::<u64>())
                // Virtual CPUs write over each other's lines.
                && granted <= calls
            {
                last.insert(vcpu.to_owned(), (calls, granted));
            }
        }
        last.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn said(&self) -> Vec<&str> {
        self.lines("neighbour").collect()
    }
}
