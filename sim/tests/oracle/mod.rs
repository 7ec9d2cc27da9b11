//! Runs the programs of this folder under `qemu-sparc64`.

use std::path::Path;
use std::process::Command;

/// The lines that `name`.c prints, or `None`, said loudly, on a machine without the
/// compiler or the emulator.
pub fn lines(name: &str) -> Option<Vec<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{name}"));
    let mut compiler = Command::new("sparc64-linux-gnu-gcc");
    compiler.args(["-O1", "-static", "-mcpu=niagara2", "-Wall", "-Werror", "-o"]);
    compiler.arg(&program).arg(source.join(format!("{name}.c")));
    let Ok(compiled) = compiler.output() else {
        eprintln!("SKIPPED: no sparc64-linux-gnu-gcc here, so nothing was compared with QEMU");
        return None;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let mut emulator = Command::new("qemu-sparc64");
    emulator.args(["-cpu", "Sun UltraSparc T2"]).arg(&program);
    let Ok(ran) = emulator.output() else {
        eprintln!("SKIPPED: no qemu-sparc64 here, so nothing was compared with it");
        return None;
    };
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect())
}
