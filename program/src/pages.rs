//! Manual pages and completions for shells, made of the description that `--help` prints.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// What a program is called with to write them, before the folder. The installation does so.
const ARGUMENT: &str = "write-pages";

/// Where the program was called with `write-pages` and a folder, writes its pages there and gives the exit status: `NAME.1` and one for each
/// subcommand, and the completions `NAME.bash`, `_NAME` (zsh) and `NAME.fish`.
pub fn asked_for(command: impl FnOnce() -> Command) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let (folder, None) = (arguments.next()?, arguments.next()) else { return None };
    Some(crate::finish(write(command(), folder.as_ref()).map_err(|error| {
        anyhow::Error::from(error).context(format!("cannot write to {}", Path::new(&folder).display()))
    })))
}

fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = command.get_name().to_owned();
    // `tool help part` is what the page of each part says.
    let mut for_pages = command.clone().disable_help_subcommand(true);
    for_pages.build();
    let source = format!("{name} {}", command.get_version().unwrap_or_default());
    write_pages(&for_pages, &source, folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, &name, folder)?;
    }
    Ok(())
}

/// The page of a command and those of its parts, each with the program's name and version below.
fn write_pages(command: &Command, source: &str, folder: &Path) -> io::Result<()> {
    Man::new(command.clone()).source(source).manual("libclip").generate_to(folder)?;
    command.get_subcommands().try_for_each(|part| write_pages(part, source, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_a_page_and_every_shell_a_file() {
        let command = Command::new("tool")
            .version("1.2")
            .about("Does it")
            .subcommand(Command::new("part").about("Does a part"));
        let folder = tempfile::tempdir().unwrap();
        write(command, &folder.path().join("new")).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("new"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["_tool", "tool-part.1", "tool.1", "tool.bash", "tool.fish"]);
        let page = std::fs::read_to_string(folder.path().join("new/tool.1")).unwrap();
        let part = std::fs::read_to_string(folder.path().join("new/tool-part.1")).unwrap();
        assert!(part.contains(r#".TH tool-part 1  "tool 1.2" libclip"#), "{part}");
        assert!(page.contains("Does it") && page.contains(r"tool\-part(1)"), "{page}");
    }
}
