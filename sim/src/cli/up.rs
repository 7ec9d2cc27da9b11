//! `ldomlab up`: powers the lab on, plays the scenario's script, and then takes
//! commands from standard input.
//!
//! **Shapes.** A line is a prompt and a command, `t5120# ldm list`; `wait 5s` lets
//! time pass; `quit`, or the end of the input, ends. A line that begins with `#` is
//! a remark. Answers are printed as they come, with console lines of domains as
//! `CHASSIS DOMAIN| TEXT`. Simulated time moves only while a command runs or a wait
//! passes.
//!
//! **Errors.** As `replay`'s. A line that cannot be understood is answered with
//! what is wrong with it.

use super::lab::Options;
use crate::chassis::world::World;
use crate::lab::quantity::Span;
use crate::lab::script::Prompt;
use std::io::{BufRead, Write};
use sun4v::time::SimTime;

/// A command that has no answer after so long is left to itself.
const PATIENCE: SimTime = SimTime::secs(600);

/// What `up` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is run.
    #[command(flatten)]
    pub options: Options,
    /// Leave the scenario's script out
    #[arg(long)]
    pub no_script: bool,
}

/// Runs the lab for somebody who types.
///
/// # Errors
///
/// See the module.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let (mut scenario, file) = args.options.scenario()?;
    if args.no_script {
        scenario.script.clear();
        scenario.step_lines.clear();
    }
    let mut world = args.options.power_on(&scenario, &file)?;
    while !world.is_done() {
        world.run_script_until(world.now().plus(SimTime::ms(100)))?;
        show(&mut world, out)?;
    }
    converse(&mut world, &mut std::io::stdin().lock(), out)
}

/// Takes lines from `input` until it ends or says `quit`.
fn converse(world: &mut World, input: &mut dyn BufRead, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut line = String::new();
    loop {
        out.flush()?;
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim() {
            "" => {}
            remark if remark.starts_with('#') => {}
            "quit" => return Ok(()),
            text => match text.strip_prefix("wait ") {
                Some(span) => match span.trim().parse::<Span>() {
                    Ok(Span(span)) => {
                        let end = world.now().plus(span);
                        while world.now() < end {
                            world.run_until(end.min(world.now().plus(SimTime::ms(100))))?;
                            show(world, out)?;
                        }
                    }
                    Err(why) => writeln!(out, "{why}")?,
                },
                None => command(world, text, out)?,
            },
        }
    }
}

/// Types one command and waits for its answer.
fn command(world: &mut World, text: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let typed = text
        .parse::<Prompt>()
        .and_then(|prompt| world.type_line(&prompt).map_err(|error| error.to_string()));
    let id = match typed {
        Ok(id) => id,
        Err(why) => return Ok(writeln!(out, "{why}")?),
    };
    world.run_until_answered(id, world.now().plus(PATIENCE))?;
    show(world, out)?;
    if world.is_open(id) {
        writeln!(out, "no answer after {} s of simulated time", PATIENCE.as_secs_f64())?;
    }
    Ok(())
}

/// Prints console lines and answers.
fn show(world: &mut World, out: &mut dyn Write) -> anyhow::Result<()> {
    for fact in world.take_facts() {
        if fact.is("console", "line") {
            writeln!(out, "{} {}| {}", fact.place, fact.name, fact.text)?;
        }
    }
    world.take_trace();
    for answer in world.take_answers() {
        write!(out, "{}{}", answer.reply.stdout, answer.reply.stderr)?;
        if answer.reply.status != 0 {
            writeln!(out, "(exit status {})", answer.reply.status)?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod test {
    use super::converse;
    use crate::chassis::world::World;
    use crate::cli::lab::Options;
    use sun4v::time::SimTime;

    #[test]
    fn a_conversation_ends_with_quit_and_forgives_slips() {
        let options =
            Options { threads: Some(1), set: vec!["script=[]".to_owned()], ..Options::default() };
        let (scenario, file) = options.scenario().unwrap();
        let mut world = options.power_on(&scenario, &file).unwrap();
        let input = "# a remark\nhello\nmars# ldm list\nwait long\nwait 250ms\n\
                     lab# cut lab/t5120\nlab# cut moon\nquit\nlab# never\n";
        let mut out = Vec::new();
        converse(&mut world, &mut input.as_bytes(), &mut out).unwrap();
        assert!(world.now() >= SimTime::ms(250));
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn the_control_domain_gets_other_virtual_cpus_and_crypto_units() {
        let options =
            Options { threads: Some(1), set: vec!["script=[]".to_owned()], ..Options::default() };
        let (scenario, file) = options.scenario().unwrap();
        let mut world = options.power_on(&scenario, &file).unwrap();
        let say = |world: &mut World, lines: &str| {
            let mut out = Vec::new();
            converse(world, &mut lines.as_bytes(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let list = "t5120# ldm list -o cpu,crypto -p primary\n";
        let count = |text: &str| (text.matches("|vid=").count(), text.matches("|id=").count());
        assert_eq!(count(&say(&mut world, list)), (16, 2));
        let said = say(&mut world, "t5120# ldm set-vcpu 1 primary\nt5120# ldm set-mau 0 primary\n");
        assert_eq!(said, "1 crypto unit of LDom primary is removed with its core\n");
        assert_eq!(count(&say(&mut world, list)), (1, 0));
        let samples = |world: &mut World| {
            say(world, "t5120# ldm list\n");
            world.take_facts();
            world.run_until(world.now().plus(SimTime::ms(1500))).unwrap();
            let mut facts = world.take_facts();
            facts.retain(|fact| fact.is("cpu", "sample") && fact.place == "t5120");
            let last = facts.last().expect("a sample").clone();
            (last.value("vcpus"), last.value("busiest_permille"))
        };
        assert_eq!(samples(&mut world), (1, 0));
        let lines = "t5120# ldm set-vcpu 16 primary\nt5120# ldm set-crypto 2 primary\n";
        assert_eq!(say(&mut world, lines), "");
        assert_eq!(samples(&mut world), (16, 0));
        assert_eq!(count(&say(&mut world, list)), (16, 2));
    }
}
