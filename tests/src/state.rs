//! The stores of a data directory, dumped: what I10 compares.

use std::collections::BTreeMap;
use std::path::Path;

use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_engine::{FOLD_VERSION, Stage, StateKey};
use settle_store::{Identity, Progress, Resources, StateStore, Store, StoreOptions};

/// A store: how far it came, and every row that has not expired, as encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreDump {
    /// How far the journal was folded.
    pub progress: Option<Progress>,
    /// Rows by key.
    pub rows: Vec<(StateKey, Vec<u8>)>,
}

/// All stores below a data directory, by stage and partition.
pub fn dump(data: &Path) -> BTreeMap<(String, u32), StoreDump> {
    let resources = Resources::new(StoreOptions::default()).expect("the default options are valid");
    let mut dumps = BTreeMap::new();
    dump_stage::<Authorize>(data, &resources, &mut dumps);
    dump_stage::<Settle>(data, &resources, &mut dumps);
    dumps
}

fn dump_stage<S: Stage>(data: &Path, resources: &Resources, dumps: &mut BTreeMap<(String, u32), StoreDump>) {
    let folder = data.join("state").join(S::NAME);
    let Ok(entries) = std::fs::read_dir(&folder) else { return };
    for entry in entries {
        let path = entry.expect("the folder of a stage can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let partition = name.parse().expect("a store's folder is named by its partition");
        let identity = Identity { stage: S::NAME, partition, fold_version: FOLD_VERSION };
        let store: Store<S::Row> = Store::open(&path, resources, identity).expect("the store can be opened");
        let progress = store.progress().cloned();
        let now = progress.as_ref().map(|progress| progress.meta.now).unwrap_or_default();
        let rows = store.dump(now).collect::<Result<Vec<_>, _>>().expect("the store can be dumped");
        dumps.insert((S::NAME.to_owned(), partition), StoreDump { progress, rows });
    }
}
