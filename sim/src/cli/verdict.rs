//! `ldomlab verdict DIR`: judges the run whose folder this is, by its record.
//!
//! **Shapes.** The table goes to the terminal, `summary.json` and the files that people
//! open ([`crate::lab::report`]) into the folder. A claim that fails is a result, not an
//! error.
//!
//! **Errors.** A record that cannot be read, has a damaged line (the text names
//! it), or holds nothing; a summary that cannot be written.

use crate::lab::record::{self, Fact};
use crate::lab::{report, verdict};
use anyhow::{Context, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `verdict` reads from the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of a run
    #[arg(value_name = "DIR", default_value = "out")]
    pub dir: PathBuf,
}

/// Judges the run and prints the table.
///
/// # Errors
///
/// See the module; the text names the file.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let facts = record::read(&args.dir)?;
    ensure!(!facts.is_empty(), "{}: holds nothing", args.dir.join(record::FILE).display());
    judge(&facts, &args.dir, out)
}

/// Judges `facts`, writes the summary and the report into `dir` and the table to `out`.
///
/// # Errors
///
/// A file cannot be written; the text names it.
pub(super) fn judge(facts: &[Fact], dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let judged = verdict::judge(facts);
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write(verdict::FILE, &judged.to_json())?;
    for file in report::files(facts, &judged) {
        write(&file.name, &file.text)?;
    }
    out.write_all(judged.table().as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod test {
    use super::{Args, run};
    use crate::lab::record::{self, Fact};
    use crate::lab::report;
    use crate::lab::verdict::FILE;
    use std::path::PathBuf;
    use sun4v::time::SimTime;

    fn folder(name: &str, record: &[u8]) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ldomlab-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(record::FILE), record).unwrap();
        dir
    }

    fn verdict(dir: &std::path::Path) -> Result<String, String> {
        let mut out = Vec::new();
        let done = run(&Args { dir: dir.to_owned() }, &mut out);
        done.map(|()| String::from_utf8(out).unwrap()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_record_becomes_a_table_and_a_summary() {
        let mut record = Vec::new();
        record::write(&Fact::run_begins("tiny", 7, SimTime::us(10)), &mut record).unwrap();
        let dir = folder("verdict", &record);
        let table = verdict(&dir).unwrap();
        let summary = std::fs::read_to_string(dir.join(FILE)).unwrap();
        for name in [report::PAGE, report::TRACE, report::TRANSCRIPT] {
            assert!(dir.join(name).exists(), "{name}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(table.contains("tiny, seed 7: 0 holds, 0 fails, 22 not measured\n"), "{table}");
        assert!(summary.contains("\"scenario\": \"tiny\""), "{summary}");
    }

    #[test]
    fn a_damaged_line_is_named_and_nothing_is_nothing_to_judge() {
        let dir = folder("damaged", b"\n{\"time\":1,\n");
        let error = verdict(&dir).unwrap_err();
        assert!(error.contains("record.jsonl:2: "), "{error}");
        std::fs::write(dir.join(record::FILE), b"\n").unwrap();
        assert!(verdict(&dir).unwrap_err().ends_with("record.jsonl: holds nothing"));
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(verdict(&dir).unwrap_err().contains("record.jsonl: "));
    }
}
