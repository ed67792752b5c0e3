//! The table, and where it goes.

use std::path::Path;
use std::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- end of figures -->";

pub(crate) struct Figures {
    machine: String,
    rows: Vec<[String; 3]>,
}

impl Figures {
    pub(crate) fn of_this_machine(devices: u32) -> Self {
        let read = |path: &str, name: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line =
                text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let said = |program: &str, argument: &str| {
            let output = Command::new(program).arg(argument).output();
            output
                .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
                .unwrap_or_default()
        };
        let machine = format!(
            "{}: {devices} devices; {} with {} cores, {} of memory, Linux {}, {}. Simulator and daemon shared the machine.",
            said("date", "+%F"),
            read("/proc/cpuinfo", "model name"),
            std::thread::available_parallelism().map_or(0, usize::from),
            read("/proc/meminfo", "MemTotal"),
            said("uname", "-r"),
            said("rustc", "--version"),
        );
        Self { machine, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, what: &str, measured: String, aim: &str) {
        eprintln!("  {what}: {measured}");
        self.rows.push([what.to_owned(), measured, aim.to_owned()]);
    }

    pub(crate) fn table(&self) -> String {
        let rows = self
            .rows
            .iter()
            .map(|[what, measured, aim]| format!("| {what} | {measured} | {aim} |\n"));
        let rows: String = rows.collect();
        format!("{}\n\n| what | measured | aim |\n| --- | --- | --- |\n{rows}", self.machine)
    }

    pub(crate) fn write(&self) -> std::io::Result<()> {
        let path = Path::new(FILE);
        let text = std::fs::read_to_string(path)?;
        let parts = text.split_once(BEGIN).zip(text.split_once(END));
        let Some(((before, _), (_, after))) = parts else {
            return Err(std::io::Error::other("docs/benchmarks.md has lost its markers"));
        };
        std::fs::write(path, format!("{before}{BEGIN}\n{}{END}{after}", self.table()))
    }
}
