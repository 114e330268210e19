//! From a location in the configuration to an object store.
//!
//! Owns the schemes. It asks nothing of the store: whether it can be reached shows at the first request.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;

use super::options::S3Options;
use crate::error::Error;

/// An object store at a location.
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    /// As the configuration has it, without a slash at its end.
    pub(super) location: String,
    /// Set where objects are files of this machine.
    pub(super) directory: Option<PathBuf>,
}

pub(super) fn connect(location: &str, s3: &S3Options) -> Result<Place, Error> {
    let invalid = |detail: &str| Error::InvalidSnapshotLocation {
        location: location.to_owned(),
        detail: detail.to_owned(),
    };
    let Some((scheme, rest)) = location.split_once("://") else {
        return Err(invalid("it has no scheme; expected file:///directory or s3://bucket/prefix"));
    };
    if scheme == "file" {
        return open_directory(location, rest);
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(invalid("it names no bucket"));
    }
    let prefix = ObjectPath::parse(prefix).map_err(|error| invalid(&error.to_string()))?;
    use_ring_for_tls();
    match scheme {
        "s3" => {
            let store = s3_builder(bucket, s3).build().map_err(|error| invalid(&error.to_string()))?;
            Ok(remote(location, store, prefix))
        }
        "gs" => open_gcs(location, bucket, prefix),
        "az" => open_azure(location, bucket, prefix),
        _ => Err(invalid("its scheme is not one of file, s3, gs and az")),
    }
}

fn remote(location: &str, store: impl ObjectStore, prefix: ObjectPath) -> Place {
    let store = Arc::new(PrefixStore::new(store, prefix));
    Place { store, location: location.trim_end_matches('/').to_owned(), directory: None }
}

fn open_directory(location: &str, path: &str) -> Result<Place, Error> {
    let invalid = |detail: String| Error::InvalidSnapshotLocation { location: location.to_owned(), detail };
    if !path.starts_with('/') {
        return Err(invalid("expected three slashes and an absolute path: file:///directory".to_owned()));
    }
    let directory = PathBuf::from(path);
    fs::create_dir_all(&directory).map_err(|error| invalid(error.to_string()))?;
    let store = LocalFileSystem::new_with_prefix(&directory).map_err(|error| invalid(error.to_string()))?;
    // A manifest must not be there after a power failure when what it names is not.
    let store = store.with_fsync(true).with_automatic_cleanup(true);
    Ok(Place {
        store: Arc::new(store),
        location: location.trim_end_matches('/').to_owned(),
        directory: Some(directory),
    })
}

fn s3_builder(bucket: &str, options: &S3Options) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(path_style) = options.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    }
    if options.allow_http {
        builder = builder.with_allow_http(true);
    }
    if let Some(key_id) = &options.access_key_id {
        builder = builder.with_access_key_id(key_id);
    }
    if let Some(secret) = &options.secret_access_key {
        builder = builder.with_secret_access_key(secret);
    }
    if let Some(token) = &options.session_token {
        builder = builder.with_token(token);
    }
    builder
}

#[cfg(feature = "gcs")]
fn open_gcs(location: &str, bucket: &str, prefix: ObjectPath) -> Result<Place, Error> {
    let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    let store = builder.build().map_err(|error| Error::InvalidSnapshotLocation {
        location: location.to_owned(),
        detail: error.to_string(),
    })?;
    Ok(remote(location, store, prefix))
}

#[cfg(not(feature = "gcs"))]
fn open_gcs(location: &str, _bucket: &str, _prefix: ObjectPath) -> Result<Place, Error> {
    Err(Error::SnapshotStoreNotBuilt { location: location.to_owned(), feature: "gcs" })
}

#[cfg(feature = "azure")]
fn open_azure(location: &str, container: &str, prefix: ObjectPath) -> Result<Place, Error> {
    let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_container_name(container);
    let store = builder.build().map_err(|error| Error::InvalidSnapshotLocation {
        location: location.to_owned(),
        detail: error.to_string(),
    })?;
    Ok(remote(location, store, prefix))
}

#[cfg(not(feature = "azure"))]
fn open_azure(location: &str, _container: &str, _prefix: ObjectPath) -> Result<Place, Error> {
    Err(Error::SnapshotStoreNotBuilt { location: location.to_owned(), feature: "azure" })
}

/// The HTTP client has TLS without cryptography of its own: it takes what the process has chosen, and panics if
/// nothing was.
fn use_ring_for_tls() {
    // An error says that a choice was made before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(location: &str) -> &'static str {
        connect(location, &S3Options::default()).err().map_or("none", |error| error.code())
    }

    #[test]
    fn locations_are_told_apart_before_anything_is_asked_of_them() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = format!("file://{}/snap shots/", directory.path().display());
        let not_built = |is_built: bool| if is_built { "none" } else { "STL-0212" };
        let cases = [
            (file.as_str(), "none"),
            ("s3://bucket", "none"),
            ("s3://bucket/a/prefix/", "none"),
            ("gs://bucket/prefix", not_built(cfg!(feature = "gcs"))),
            ("snapshots", "STL-0211"),
            ("file://snapshots", "STL-0211"),
            ("s3://", "STL-0211"),
            ("s3:///prefix", "STL-0211"),
            ("s3://bucket/a//b", "STL-0211"),
            ("ftp://bucket/prefix", "STL-0211"),
        ];
        for (location, code) in cases {
            assert_eq!(code_of(location), code, "{location}");
        }
        assert!(directory.path().join("snap shots").is_dir(), "the path is taken as it stands");
    }

    #[test]
    #[cfg(not(feature = "azure"))]
    fn what_is_not_built_in_says_how_to_build_it() {
        let error =
            connect("az://container/prefix", &S3Options::default()).err().expect("it is not built in");
        assert_eq!(error.code(), "STL-0212");
        assert!(error.to_string().contains("`azure`"), "{error}");
    }

    #[test]
    fn an_endpoint_without_tls_has_to_be_allowed() {
        let plain = S3Options {
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            region: Some("eu-west-1".to_owned()),
            path_style: Some(true),
            access_key_id: Some("id".to_owned()),
            secret_access_key: Some("secret".to_owned()),
            session_token: Some("token".to_owned()),
            allow_http: true,
        };
        let place = connect("s3://bucket/prefix/", &plain).expect("everything is given");
        assert_eq!(place.location, "s3://bucket/prefix");
        assert_eq!(place.directory, None);
    }
}
