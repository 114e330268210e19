//! The S3 endpoint, with the client that the program uses.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig, WriteMultipart,
};
use settle_test_services::object_store::S3;

fn client(endpoint: &S3, secret: &str) -> AmazonS3 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    AmazonS3Builder::new()
        .with_endpoint(endpoint.endpoint())
        .with_allow_http(true)
        .with_region(S3::REGION)
        .with_bucket_name(S3::BUCKET)
        .with_access_key_id(S3::ACCESS_KEY)
        .with_secret_access_key(secret)
        .with_virtual_hosted_style_request(false)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(30)))
        .with_retry(RetryConfig {
            max_retries: 2,
            retry_timeout: Duration::from_secs(20),
            ..RetryConfig::default()
        })
        .build()
        .expect("the settings are complete")
}

#[test]
fn objects_are_put_once_listed_read_deleted_and_survive_a_death() {
    let endpoint = S3::start().expect("an endpoint starts");
    let store = client(&endpoint, S3::SECRET_KEY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (first, second) = (Path::from("snapshots/first"), Path::from("snapshots/second"));
    runtime.block_on(async {
        store.put(&first, PutPayload::from_static(b"one")).await.expect("it is taken");
        let again = store.put_opts(&first, PutPayload::from_static(b"two"), PutMode::Create.into()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "create-only put: {again:?}");
        store
            .put_opts(&second, PutPayload::from_static(b"two"), PutMode::Create.into())
            .await
            .expect("it is new");

        let large = Path::from("snapshots/large");
        let upload = store.put_multipart(&large).await.expect("an upload starts");
        let mut writer = WriteMultipart::new(upload);
        let bytes = vec![7; 12 * 1024 * 1024];
        writer.write(&bytes);
        writer.finish().await.expect("an upload ends");
        let read = store.get(&large).await.expect("it is there").bytes().await.expect("it can be read");
        assert!(read == bytes, "the parts came back differently");
        let part = store.get_range(&large, 1..4).await.expect("a range can be read");
        assert_eq!(part.as_ref(), [7, 7, 7]);
    });
    endpoint.kill9().expect("it can be killed");
    endpoint.restart().expect("it comes back");
    runtime.block_on(async {
        let read = store.get(&first).await.expect("it is there").bytes().await.expect("it can be read");
        assert_eq!(read.as_ref(), b"one");
        let listed =
            store.list_with_delimiter(Some(&Path::from("snapshots"))).await.expect("it can be listed");
        let mut names: Vec<String> =
            listed.objects.iter().map(|object| object.location.to_string()).collect();
        names.sort();
        assert_eq!(names, ["snapshots/first", "snapshots/large", "snapshots/second"]);
        store.delete(&first).await.expect("it can be deleted");
        assert!(matches!(store.get(&first).await, Err(Error::NotFound { .. })));

        let stranger = client(&endpoint, "another secret");
        assert!(stranger.get(&second).await.is_err(), "a wrong signature was taken");
    });
}
