//! What one snapshot is made of, and the names of all objects.
//!
//! Owns the format of a manifest and every name in the repository. A manifest is JSON: an operator can read it,
//! and fetch and check the files of a snapshot by hand. Its last field is the BLAKE3 of the manifest without that
//! field, as compact JSON with the fields in the order below.

use std::collections::BTreeSet;
use std::fmt;

use object_store::ObjectMeta;
use object_store::path::{Path as ObjectPath, PathPart};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use settle_types::Timestamp;

use crate::error::Error;
use crate::progress::Identity;

/// Version of the format of a manifest. Raise it when a field is added, removed or changes its meaning.
pub const MANIFEST_VERSION: u32 = 1;

pub(super) const OBJECTS: &str = "objects";
pub(super) const MANIFESTS: &str = "manifests";
/// Stands for a journal topic without an identity.
const NO_IDENTITY: &str = "none";
/// Characters of the checksum in the name of a manifest.
const CHECKSUM_PREFIX: usize = 16;

/// BLAKE3 of a file's content; in text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(blake3::Hash);

impl ContentHash {
    pub(super) fn new(hash: blake3::Hash) -> Self {
        Self(hash)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&text).map(Self).map_err(de::Error::custom)
    }
}

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFile {
    /// Name in the store's directory.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Hash of the content.
    pub hash: ContentHash,
    /// Generation in which the content was sent: the time at which it began, in seconds since the epoch.
    pub generation: u64,
}

impl SnapshotFile {
    /// The object that has the content.
    pub(super) fn object(&self) -> ObjectPath {
        object_path(&self.hash, self.generation)
    }
}

/// A snapshot: whose state it is, how far its journal was folded, and its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub format_version: u32,
    /// Name of the application.
    pub application: String,
    /// Name of the stage.
    pub stage: String,
    /// Number of the partition.
    pub partition: u32,
    /// What tells a re-created journal from the one that was folded; empty if the log has none.
    pub journal_topic_identity: String,
    /// Offset of the next journal record to fold.
    pub journal_next_offset: u64,
    /// Version of the fold that built the state.
    pub fold_version: i32,
    /// When the checkpoint was made, in microseconds since the epoch.
    pub created_at_micros: i64,
    /// The files, in the order of their names.
    pub files: Vec<SnapshotFile>,
}

/// A manifest as it is stored.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    manifest: Manifest,
    checksum: String,
}

/// What every version of the format has.
#[derive(Deserialize)]
struct AnyVersion {
    format_version: u32,
}

impl Manifest {
    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    pub(super) fn checksum(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("plain fields encode");
        blake3::hash(&bytes).to_hex().to_string()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let sealed = Sealed { checksum: self.checksum(), manifest: self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&sealed).expect("plain fields encode");
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`Manifest::encode`] wrote. `place` names it in errors.
    pub(super) fn decode(place: &str, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |detail: String| Error::SnapshotDamaged { object: place.to_owned(), detail };
        let version: AnyVersion =
            serde_json::from_slice(bytes).map_err(|error| damaged(format!("it is no manifest: {error}")))?;
        if version.format_version != MANIFEST_VERSION {
            return Err(Error::SnapshotFormat {
                object: place.to_owned(),
                found: version.format_version,
                expected: MANIFEST_VERSION,
            });
        }
        let sealed: Sealed =
            serde_json::from_slice(bytes).map_err(|error| damaged(format!("it does not decode: {error}")))?;
        let manifest = sealed.manifest;
        if manifest.checksum() != sealed.checksum {
            return Err(damaged("its checksum does not match".to_owned()));
        }
        manifest.check_names().map_err(damaged)?;
        Ok(manifest)
    }

    /// A name that leads out of the directory of a restore must not come from a manifest, whoever wrote it.
    fn check_names(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for file in &self.files {
            let is_plain = !file.name.is_empty() && !file.name.contains(['/', '\\', '\0']);
            if !is_plain || file.name == "." || file.name == ".." {
                return Err(format!("{:?} is no name of a file", file.name));
            }
            if !names.insert(&file.name) {
                return Err(format!("it names {} twice", file.name));
            }
        }
        Ok(())
    }

    pub(super) fn line(&self) -> Line {
        let identity =
            Identity { stage: &self.stage, partition: self.partition, fold_version: self.fold_version };
        Line::new(identity, &self.journal_topic_identity)
    }

    pub(super) fn path(&self, checksum: &str) -> ObjectPath {
        let name = format!(
            "{:020}-{}-{}.json",
            self.journal_next_offset,
            self.fold_version,
            &checksum[..CHECKSUM_PREFIX]
        );
        self.line().directory().join(name.as_str())
    }
}

/// The object of this content and generation.
pub(super) fn object_path(hash: &ContentHash, generation: u64) -> ObjectPath {
    ObjectPath::from_iter([OBJECTS, &format!("{hash}-{generation}")])
}

/// The generation in the name of an object; none if it is no object of ours.
pub(super) fn generation_of(object: &ObjectPath) -> Option<u64> {
    let (hash, generation) = object.filename()?.split_once('-')?;
    blake3::Hash::from_hex(hash).ok()?;
    generation.parse().ok()
}

/// The snapshots that continue one another: of one partition, one journal topic and one fold version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) stage: String,
    pub(super) partition: u32,
    pub(super) journal_topic_identity: String,
    pub(super) fold_version: i32,
}

impl Line {
    pub(super) fn new(identity: Identity<'_>, journal_topic_identity: &str) -> Self {
        Self {
            stage: identity.stage.to_owned(),
            partition: identity.partition,
            journal_topic_identity: journal_topic_identity.to_owned(),
            fold_version: identity.fold_version,
        }
    }

    /// Where the manifests of this line are, with those of other fold versions.
    pub(super) fn directory(&self) -> ObjectPath {
        let topic = match self.journal_topic_identity.as_str() {
            "" => NO_IDENTITY,
            identity => identity,
        };
        let identity =
            Identity { stage: &self.stage, partition: self.partition, fold_version: self.fold_version };
        Self::directory_of_all(identity).join(PathPart::from(topic))
    }

    /// Where the manifests of all lines of a partition are.
    pub(super) fn directory_of_all(identity: Identity<'_>) -> ObjectPath {
        let partition = identity.partition.to_string();
        let parts = [MANIFESTS, identity.stage, &partition];
        parts.into_iter().map(PathPart::from).collect()
    }
}

/// What the name of a manifest says, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManifestName {
    pub(super) path: ObjectPath,
    pub(super) journal_next_offset: u64,
    pub(super) fold_version: i32,
    pub(super) written_at: Timestamp,
}

impl ManifestName {
    /// None if it is no manifest of ours.
    pub(super) fn parse(object: &ObjectMeta) -> Option<Self> {
        let name = object.location.filename()?.strip_suffix(".json")?;
        let (offset, rest) = name.split_once('-')?;
        let (fold_version, checksum) = rest.rsplit_once('-')?;
        if checksum.len() != CHECKSUM_PREFIX {
            return None;
        }
        Some(Self {
            path: object.location.clone(),
            journal_next_offset: offset.parse().ok()?,
            fold_version: fold_version.parse().ok()?,
            written_at: Timestamp::from_micros(object.last_modified.timestamp_micros()),
        })
    }

    /// The directory of its partition.
    pub(super) fn partition(&self) -> Option<ObjectPath> {
        self.path.parent()?.parent()
    }

    /// True if both continue the same journal with the same fold.
    pub(super) fn is_in_line_with(&self, other: &Self) -> bool {
        self.fold_version == other.fold_version && self.path.parent() == other.path.parent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |name: &str, size: u64| SnapshotFile {
            name: name.to_owned(),
            size,
            hash: ContentHash::new(blake3::hash(name.as_bytes())),
            generation: 1_788_000_300,
        };
        Manifest {
            format_version: MANIFEST_VERSION,
            application: "settle".to_owned(),
            stage: "authorize".to_owned(),
            partition: 3,
            journal_topic_identity: "kCzAF5hBSCujrRbRLKBbJg".to_owned(),
            journal_next_offset: u64::MAX,
            fold_version: 2,
            created_at_micros: i64::MIN,
            files: vec![file("000012.sst", u64::MAX - 7), file("CURRENT", 7)],
        }
    }

    #[test]
    fn a_manifest_is_read_back_and_every_changed_byte_is_noticed() {
        let manifest = manifest();
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode("m", &bytes).expect("it decodes"), manifest);
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 0x04;
            match Manifest::decode("m", &changed) {
                // Space between fields says nothing.
                Ok(read) => assert_eq!(read, manifest, "byte {position}"),
                Err(error) => assert!(error.is_cured_by_an_older_snapshot(), "byte {position}: {error}"),
            }
        }
        for length in 0..bytes.len() - 2 {
            assert_eq!(Manifest::decode("m", &bytes[..length]).expect_err("cut").code(), "STL-0215");
        }
    }

    #[test]
    fn the_format_is_what_the_documentation_says() {
        let mut manifest = manifest();
        manifest.created_at_micros = 1_788_000_345_000_001;
        manifest.journal_next_offset = 42;
        manifest.files.truncate(1);
        manifest.files[0].size = 123;
        let text = String::from_utf8(manifest.encode()).expect("it is text");
        let expected = r#"{
  "format_version": 1,
  "application": "settle",
  "stage": "authorize",
  "partition": 3,
  "journal_topic_identity": "kCzAF5hBSCujrRbRLKBbJg",
  "journal_next_offset": 42,
  "fold_version": 2,
  "created_at_micros": 1788000345000001,
  "files": [
    {
      "name": "000012.sst",
      "size": 123,
      "hash": "HASH",
      "generation": 1788000300
    }
  ],
  "checksum": "CHECKSUM"
}
"#;
        let expected = expected
            .replace("HASH", &blake3::hash(b"000012.sst").to_hex())
            .replace("CHECKSUM", &manifest.checksum());
        assert_eq!(text, expected);
    }

    #[test]
    fn another_format_is_recognised_before_anything_else() {
        let error = Manifest::decode("m", br#"{"format_version": 2, "what": ["is", "new"]}"#);
        assert_eq!(error.expect_err("it is newer").code(), "STL-0216");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "../CURRENT", "a/b", "/etc/passwd", "a\\b", "CURRENT"] {
            let mut manifest = manifest();
            manifest.files[0].name = name.to_owned();
            let error = Manifest::decode("m", &manifest.encode()).expect_err(name);
            assert_eq!(error.code(), "STL-0215", "{name}");
        }
    }

    #[test]
    fn names_sort_by_offset_and_say_what_they_name() {
        let mut manifest = manifest();
        manifest.journal_next_offset = 42;
        let path = manifest.path(&manifest.checksum());
        let directory = "manifests/authorize/3/kCzAF5hBSCujrRbRLKBbJg/";
        let checksum = &manifest.checksum()[..16];
        assert_eq!(path.as_ref(), format!("{directory}00000000000000000042-2-{checksum}.json"));
        let object = ObjectMeta {
            location: path.clone(),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: 1,
            e_tag: None,
            version: None,
        };
        let name = ManifestName::parse(&object).expect("it is a manifest");
        assert_eq!((name.journal_next_offset, name.fold_version), (42, 2));
        assert_eq!(name.written_at, Timestamp::EPOCH);
        assert_eq!(name.partition().expect("it lies in one").as_ref(), "manifests/authorize/3");

        manifest.fold_version = -1;
        let negative = ObjectMeta { location: manifest.path(&manifest.checksum()), ..object.clone() };
        assert_eq!(ManifestName::parse(&negative).expect("it is a manifest").fold_version, -1);
        for foreign in ["manifests/README", "manifests/authorize/3/none/notes.json", "42-2-0123.json"] {
            let object = ObjectMeta { location: ObjectPath::from(foreign), ..object.clone() };
            assert_eq!(ManifestName::parse(&object), None, "{foreign}");
        }
    }

    #[test]
    fn a_topic_identity_is_one_part_of_a_path_whatever_it_is() {
        let identity = Identity { stage: "settle", partition: 0, fold_version: 1 };
        for (topic, expected) in [("", "none"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("a_b-C", "a_b-C")] {
            let directory = Line::new(identity, topic).directory();
            assert_eq!(directory.as_ref(), format!("manifests/settle/0/{expected}"));
        }
    }

    #[test]
    fn objects_say_their_generation() {
        let hash = ContentHash::new(blake3::hash(b"content"));
        assert_eq!(generation_of(&object_path(&hash, 900)), Some(900));
        for foreign in ["objects/README", "objects/abc-900", &format!("objects/{hash}"), "objects/x-"] {
            assert_eq!(generation_of(&ObjectPath::from(foreign)), None, "{foreign}");
        }
    }
}
