//! `settle config check | reference` and `settle rules check`.

use crate::args::{Common, ConfigCommand, RulesCommand};
use crate::{Ended, output, settings};

/// Runs `settle config`.
pub(crate) fn run(common: &Common, command: &ConfigCommand) -> anyhow::Result<Ended> {
    match command {
        ConfigCommand::Check => check(common, ""),
        ConfigCommand::Reference => {
            output::data(settle_config::reference_markdown().trim_end());
            Ok(Ended::Done)
        }
    }
}

/// Runs `settle rules`.
pub(crate) fn rules(common: &Common, command: &RulesCommand) -> anyhow::Result<Ended> {
    match command {
        RulesCommand::Check => check(common, "risk"),
    }
}

/// Checks the keys under a path.
fn check(common: &Common, under: &str) -> anyhow::Result<Ended> {
    let loaded = settings::load_quietly(common)?;
    let problems: Vec<_> =
        loaded.check().into_iter().filter(|problem| problem.path.starts_with(under)).collect();
    for problem in &problems {
        output::data(problem.to_string());
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    output::message(format!("{errors} error(s), {warnings} warning(s)"));
    Ok(if errors == 0 { Ended::Done } else { Ended::WithFindings })
}
