//! What a stage is: the decider pattern, as the shell drives it.

use settle_types::Timestamp;
use settle_types::event::{ConfigActivation, SourcePosition};

use crate::input::Input;
use crate::meta::Meta;
use crate::output::Output;
use crate::rows::Rows;
use crate::state_key::{StateKey, TableId};
use crate::state_value::StateRow;

/// A configuration that cannot be activated.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON of this stage's configuration.
    #[error("the journaled configuration does not parse: {0}")]
    Parse(#[from] serde_json::Error),
    /// It parses, and contradicts itself.
    #[error("the configuration is not valid:\n{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

/// Why a due row is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueCause {
    /// The clock reached its time.
    Clock,
    /// An operator finished the run.
    Finish,
}

/// A stage of the pipeline. All functions are pure.
pub trait Stage: Sized + Send + Sync + 'static {
    /// What can be asked of it.
    type Command: Send;
    /// What it decides.
    type Event: Clone + PartialEq + std::fmt::Debug + Send;
    /// A row of its state.
    type Row: StateRow;
    /// Its configuration, prepared for deciding.
    type Config: ActiveConfig;

    /// Name of the stage, in configuration, paths and metrics.
    const NAME: &'static str;
    /// The topic whose partitions are its unit of scale.
    const PRIMARY: &'static str;
    /// Inputs with equal partition counts that follow the primary.
    const SECONDARIES: &'static [&'static str];
    /// Outputs whose records go to the partition with the number of the input's.
    const SAME_PARTITION_OUTPUTS: &'static [&'static str];
    /// Every topic that is written beside the journal.
    const OUTPUTS: &'static [&'static str];
    /// The journal.
    const JOURNAL: &'static str;
    /// Tables whose rows many commands share: they stay in memory when a transaction was stored.
    const SHARED_TABLES: &'static [TableId];

    /// The clock for this command: never before `meta.now`. `wall` is the wall clock.
    fn now(meta: &Meta, config: &Self::Config, command: &Self::Command, wall: Timestamp) -> Timestamp;

    /// The clock when nothing arrives.
    fn idle_now(meta: &Meta, config: &Self::Config, wall: Timestamp) -> Timestamp;

    /// Adds the keys that the command still needs, given what was found so far. Nothing added: all is there.
    fn keys(command: &Self::Command, now: Timestamp, rows: &Rows<Self::Row>, missing: &mut Vec<StateKey>);

    /// As [`Self::keys`], for folding an event during a restore.
    fn event_keys(event: &Self::Event, rows: &Rows<Self::Row>, missing: &mut Vec<StateKey>);

    /// All judgement. The events have the next sequences; usually one, none if there is nothing to say.
    fn decide(
        rows: &Rows<Self::Row>,
        meta: &Meta,
        config: &Self::Config,
        command: &Self::Command,
        now: Timestamp,
    ) -> Vec<Self::Event>;

    /// Applies what was decided. No judgement.
    fn evolve(rows: &mut Rows<Self::Row>, meta: &mut Meta, event: &Self::Event);

    /// Records for the topics beside the journal. The first event of a command has its input record.
    fn project(event: &Self::Event, input: Option<&Input<'_>>) -> Vec<Output>;

    /// Key of the event's journal record.
    fn journal_key(event: &Self::Event, input: Option<&Input<'_>>) -> Option<Vec<u8>>;

    /// The command for a row of the due table; none if `cause` does not concern it.
    fn due(key: &StateKey, row: &Self::Row, cause: DueCause) -> Option<Self::Command>;

    /// The command that activates a configuration.
    fn activate(activation: ConfigActivation) -> Self::Command;

    /// The row that the configuration table holds.
    fn active_config(row: &Self::Row) -> Option<&ConfigActivation>;

    /// Of an event: sequence, time, consumed input, fold version that it needs.
    fn envelope(event: &Self::Event) -> Envelope<'_>;

    /// The configuration that an event activates.
    fn activated(event: &Self::Event) -> Option<&ConfigActivation>;
}

/// What the shell needs of an event whatever the stage.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Dense sequence.
    pub sequence: i64,
    /// Clock of the partition.
    pub now: Timestamp,
    /// Consumed input.
    pub input: Option<&'a SourcePosition>,
    /// Fold version that it needs.
    pub min_fold_version: i32,
}

/// A configuration as a stage uses it.
pub trait ActiveConfig: Sized + Send + Sync {
    /// From the journaled content.
    fn from_activation(activation: &ConfigActivation) -> Result<Self, ConfigError>;
}

/// The activation of a configuration: canonical JSON (fields in declared order, maps sorted) and its hash.
pub fn activation<C: serde::Serialize>(config: &C) -> ConfigActivation {
    let content = serde_json::to_string(config).expect("a configuration of plain values becomes JSON");
    let hash = blake3::hash(content.as_bytes()).to_hex().to_string().into();
    ConfigActivation { hash, content }
}
