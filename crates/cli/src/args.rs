//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Payment settlement on Kafka: deduplicate, decide, settle, keep the books. Exactly once.
///
/// Data goes to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "settle", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed; the message has a code (STL-....) with a page in docs/errors/
  2  the command line or the configuration is wrong; nothing was done
  3  done, but some input was rejected (produce) or a check found something (config check, topics create,
     verify, inspect)
  70  ended by its watchdog: a worker was stuck (STL-0311)
  130  interrupted; what was committed stays";

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Configuration file (TOML); see docs/configuration.md
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use the embedded log in this directory: no broker, nothing to install
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) embedded: Option<PathBuf>,
    /// Use the Kafka cluster at these addresses: host:port,host:port
    #[arg(long, global = true, value_name = "BROKERS", conflicts_with = "embedded")]
    pub(crate) kafka: Option<String>,
    /// Set one key of the configuration, as in --set worker.workers=2
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Level of the log on standard error: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Form of the log on standard error
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

/// Form of what goes to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Tables and words
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate a day of payments and settle it: all in one process, nothing to install
    Demo(DemoArguments),
    /// Run the stages
    Run(RunArguments),
    /// Write requests to payments.requested, from a file or generated
    Produce(ProduceArguments),
    /// Create, list and read topics
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// List dead letters, and send them again
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Check everything that was written: chain, balance, one decision per request, decide all of it again
    Verify(VerifyArguments),
    /// Look into the state: keys, payments, merchants, balances
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Check the configuration, print its reference
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check and try risk rules
    #[command(subcommand)]
    Rules(RulesCommand),
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Requests to generate, retries and follow-ups included
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    pub(crate) payments: u64,
    /// The same seed gives the same day, byte for byte
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub(crate) seed: u64,
    /// Where the demo keeps its log and state; an earlier demo there is replaced
    #[arg(long, default_value = "settle-demo", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Workers per stage
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) workers: u32,
}

/// Which stages to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageName {
    /// Deduplicate and decide
    Authorize,
    /// Book, batch and pay
    Settle,
    /// Both
    #[default]
    All,
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Which stages this process runs
    #[arg(long, value_enum, default_value_t)]
    pub(crate) stage: StageName,
    /// End when every input is at its end; such a run is reproducible
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Then close and pay what is open; keys, holds and reserves do not expire by it
    #[arg(long, requires = "until_idle")]
    pub(crate) finish: bool,
    /// Form of the summary on standard output
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["input", "generate"])))]
pub(crate) struct ProduceArguments {
    /// File of requests: CSV (needs --mapping), JSONL or an Avro container file, by its ending
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// How the columns of a CSV file become requests; see docs/produce.md
    #[arg(long, value_name = "FILE", requires = "input")]
    pub(crate) mapping: Option<PathBuf>,
    /// Format of the file, where its ending does not tell
    #[arg(long, value_enum, requires = "input")]
    pub(crate) input_format: Option<InputFormat>,
    /// Where rejected rows go [default: the input file's name with .rejects.jsonl]
    #[arg(long, value_name = "FILE", requires = "input")]
    pub(crate) rejects: Option<PathBuf>,
    /// Generate N requests of a realistic day instead
    #[arg(long, value_name = "N")]
    pub(crate) generate: Option<u64>,
    /// Seed of the generated day
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Requests per second, at most [default: as fast as possible]
    #[arg(long, value_name = "R")]
    pub(crate) rate: Option<u32>,
}

/// Format of a request file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// Columns, with a mapping
    Csv,
    /// One request a line, with the field names of the request
    Jsonl,
    /// An Avro container file
    Avro,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Create all topics that are not there; on Kafka, check the others
    Create {
        /// Form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// List topics with what they hold; on Kafka, with how long they keep it
    List {
        /// Form of the list
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Print the records of a topic, then end
    Tail(TailArguments),
}

#[derive(Args, Debug)]
pub(crate) struct TailArguments {
    /// Topic, as in `settle topics list`
    pub(crate) topic: String,
    /// Print the last N records only
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only this partition
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<u32>,
    /// Wait for more records
    #[arg(long)]
    pub(crate) follow: bool,
    /// Form of the records
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

/// Which dead letters.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeadLetterFilter {
    /// Only those with this reason code
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Only the one of this source record, as TOPIC/PARTITION@OFFSET
    #[arg(long, value_name = "POSITION")]
    pub(crate) source: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List dead letters with their reasons
    List {
        #[command(flatten)]
        filter: DeadLetterFilter,
        /// Form of the list
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Send dead letters to their source topic again, unchanged
    Resubmit {
        #[command(flatten)]
        filter: DeadLetterFilter,
        /// Say what would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// Judge only what was journaled since then: an instant (2026-03-02T09:15:00Z), a day in UTC (2026-03-02), or a time
    /// before now (26h, 2d); see docs/verify.md for what that leaves out
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Folder for temporary files, about as large as the stores of a stage [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// What an idempotency key answers
    Key {
        /// The key
        key: String,
        /// Only of this merchant
        #[arg(long)]
        merchant: Option<String>,
        /// Form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Decision, batch and entries of a payment
    Payment {
        /// The payment id
        id: String,
        /// Form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Batches and balances of a merchant
    Merchant {
        /// The merchant id
        id: String,
        /// Form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Balances: of one account, or of all
    Balance {
        /// The account, as in merchant:m-1:payable; a prefix of it is enough
        account: Option<String>,
        /// Form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration; nothing is started
    Check,
    /// Print the reference of all keys
    Reference,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Check the rules of the configuration
    Check,
}
