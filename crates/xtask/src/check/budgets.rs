//! What a report costs, in counts, is within the budgets of crates/xtask/budgets.toml.

use super::installed;
use crate::bench::budgets;
use crate::project::Project;
use anyhow::Result;

pub(super) fn check(project: &Project) -> Result<()> {
    let dir = project.empty_dir("check/budgets")?;
    budgets::check(project, &installed::prefix(project), &dir)
}
