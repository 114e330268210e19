//! Requests to the object store, in plain blocking words.
//!
//! Owns the crossing from asynchronous to blocking, and the reading of the object store's errors. Must not know
//! what an object is for.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{
    Error as StoreError, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};

use super::driver::Driver;
use super::location::Place;
use crate::error::Error;

pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    location: String,
    directory: Option<PathBuf>,
    driver: Driver,
}

/// What is directly under a prefix.
pub(super) struct Level {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) prefixes: Vec<ObjectPath>,
}

/// An object that is sent in parts; it is there once it is completed.
pub(super) struct Parts<'a> {
    objects: &'a Objects,
    path: ObjectPath,
    upload: Box<dyn MultipartUpload>,
}

impl Objects {
    pub(super) fn new(place: Place, driver: Driver) -> Self {
        Self { store: place.store, location: place.location, directory: place.directory, driver }
    }

    /// The directory of the objects, where they are files of this machine.
    pub(super) fn directory(&self) -> Option<&std::path::Path> {
        self.directory.as_deref()
    }

    /// An object as an operator would look for it.
    pub(super) fn place_of(&self, path: &ObjectPath) -> String {
        format!("{}/{path}", self.location)
    }

    /// The whole object; none if there is none.
    pub(super) fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, Error> {
        let request = async { self.store.get(path).await?.bytes().await };
        self.found("read", path, self.driver.wait(request))
    }

    /// A range of an object; none if there is no such object. Shorter than asked for if the object ends before.
    pub(super) fn get_range(&self, path: &ObjectPath, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        self.found("read", path, self.driver.wait(self.store.get_range(path, range)))
    }

    /// The size of an object in bytes; none if there is none.
    pub(super) fn size(&self, path: &ObjectPath) -> Result<Option<u64>, Error> {
        let found = self.found("look up", path, self.driver.wait(self.store.head(path)))?;
        Ok(found.map(|object| object.size))
    }

    /// Writes an object if there is none of this name, and says whether it did.
    pub(super) fn create(&self, path: &ObjectPath, content: Vec<u8>) -> Result<bool, Error> {
        let options = PutMode::Create.into();
        match self.driver.wait(self.store.put_opts(path, PutPayload::from(content), options)) {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("create", path, &error)),
        }
    }

    /// Writes an object, whether there is one or not.
    pub(super) fn replace(&self, path: &ObjectPath, content: Vec<u8>) -> Result<(), Error> {
        match self.driver.wait(self.store.put(path, PutPayload::from(content))) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed("write", path, &error)),
        }
    }

    /// Begins an object that is sent in parts, whether there is one of this name or not.
    pub(super) fn begin_parts(&self, path: &ObjectPath) -> Result<Parts<'_>, Error> {
        match self.driver.wait(self.store.put_multipart(path)) {
            Ok(upload) => Ok(Parts { objects: self, path: path.clone(), upload }),
            Err(error) => Err(self.failed("write", path, &error)),
        }
    }

    /// Removes an object. None of this name is no error.
    pub(super) fn remove(&self, path: &ObjectPath) -> Result<(), Error> {
        self.found("remove", path, self.driver.wait(self.store.delete(path))).map(drop)
    }

    /// What is directly under a prefix.
    pub(super) fn list(&self, prefix: &ObjectPath) -> Result<Level, Error> {
        match self.driver.wait(self.store.list_with_delimiter(Some(prefix))) {
            Ok(found) => Ok(Level { objects: found.objects, prefixes: found.common_prefixes }),
            Err(error) => Err(self.failed("list", prefix, &error)),
        }
    }

    fn found<T>(
        &self,
        operation: &'static str,
        path: &ObjectPath,
        result: Result<T, StoreError>,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(operation, path, &error)),
        }
    }

    fn failed(&self, operation: &'static str, path: &ObjectPath, error: &StoreError) -> Error {
        let object = self.place_of(path);
        let detail = error.to_string();
        if is_denied(error, &detail) {
            return Error::SnapshotAccessDenied { operation, object, detail };
        }
        Error::SnapshotStoreFailed { operation, object, detail }
    }
}

/// Lists and directories fail with a general error that has the reason only in its words.
fn is_denied(error: &StoreError, detail: &str) -> bool {
    let words = [
        "status code: 401",
        "status code: 403",
        "Permission denied",
        "Read-only file system",
        "Operation not permitted",
    ];
    matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })
        || words.iter().any(|word| detail.contains(word))
}

impl Parts<'_> {
    /// Sends the next part.
    pub(super) fn send(&mut self, part: Vec<u8>) -> Result<(), Error> {
        let request = self.upload.put_part(PutPayload::from(part));
        self.objects.driver.wait(request).map_err(|error| self.objects.failed("write", &self.path, &error))
    }

    /// Makes the object of the parts.
    pub(super) fn complete(mut self) -> Result<(), Error> {
        match self.objects.driver.wait(self.upload.complete()) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.objects.failed("write", &self.path, &error)),
        }
    }

    /// Gives the parts up. That it fails changes nothing: parts are not listed, and the store's own rule for
    /// unfinished uploads removes them.
    pub(super) fn abort(mut self) {
        if let Err(error) = self.objects.driver.wait(self.upload.abort()) {
            tracing::debug!(path = %self.path, %error, "the parts of an unfinished upload stay behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_apart_from_a_failure() {
        let general = |words: &str| StoreError::Generic { store: "S3", source: words.into() };
        let refused = StoreError::PermissionDenied { path: "a".to_owned(), source: "no".into() };
        let cases = [
            (refused, true),
            (general("Server returned non-2xx status code: 403 Forbidden: <Code>InvalidAccessKeyId"), true),
            (general("Server returned non-2xx status code: 401 Unauthorized"), true),
            (general("Unable to create dir /s/objects: Permission denied (os error 13)"), true),
            (general("Unable to create file /s/objects/a#1: Read-only file system (os error 30)"), true),
            (general("Server returned non-2xx status code: 500 Internal Server Error"), false),
            (general("after 10 retries: error sending request"), false),
            (general("Unable to copy data to file: No space left on device (os error 28)"), false),
        ];
        for (error, expected) in cases {
            assert_eq!(is_denied(&error, &error.to_string()), expected, "{error}");
        }
    }
}
