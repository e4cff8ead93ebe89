"""One URI of every kind that a stranger may put into a message and that the settings do not serve."""

from __future__ import annotations

WITHOUT_CREDENTIALS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_CONFIG_FILE": "/nonexistent",
}
"""Environment variables with which boto3 finds no credentials on any machine."""

NOT_SERVED = {
    "s3 of a bucket that no setting names": "s3://payroll/scan.jpg",
    "s3 with a folder that leaves its bucket": "s3://photos/../payroll/scan.jpg",
    "s3 with a password": "s3://ann:secret@photos/1.jpg",
    "s3 without a key": "s3://photos",
    "a host that does not resolve": "http://no-such-host.invalid/1.jpg",
    "a host that does not resolve, encrypted": "https://no-such-host.invalid/1.jpg",
    "a presigned URL of a bucket that does not resolve": (
        "https://payroll.s3.no-such-host.invalid/scan.jpg?X-Amz-Expires=300&X-Amz-Signature=0a1b"
    ),
    "a port that nobody listens on": "http://127.0.0.1:1/1.jpg",
    "a private host": "http://10.0.0.1/1.jpg",
    "the metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "a private host of IPv6": "http://[fd00::1]/1.jpg",
    "a host with a zone": "http://[fe80::1%25eth0]/1.jpg",
    "a host that no name can be": f"http://{'a' * 70}.invalid/1.jpg",
    "a host with a NUL": "http://a%00b.invalid/1.jpg",
    "a port that does not exist": "http://photos.invalid:99999/1.jpg",
    "a user and a password": "http://ann:secret@photos.invalid/1.jpg",
    "no host": "http:///1.jpg",
    "half an address": "http://[::1/1.jpg",
    "a file outside of the folders": "file:///etc/passwd",
    "a file that climbs out": "file:///photos/../etc/passwd",
    "a file that is missing": "file:///photos/no-such-folder/1.jpg",
    "a file on another host": "file://server/share/1.jpg",
    "a device": "file:///dev/zero",
    "a folder": "file:///",
    "a path with a NUL": "file:///photos/a%00b.jpg",
    "a path that is too long": f"file:///photos/{'a/' * 5000}1.jpg",
    "a name that is too long": f"file:///photos/{'a' * 5000}.jpg",
    "the bytes themselves": "data:image/png;base64,iVBORw0KGgo=",
    "ftp": "ftp://photos.invalid/1.jpg",
    "gs": "gs://photos/1.jpg",
    "a script": "javascript:alert(1)",
    "no scheme": "/photos/1.jpg",
    "a path of Windows": "C:\\photos\\1.jpg",
    "nonsense": "§$%&/()=?",
    "an empty scheme": "://",
    "64 KB": "http://photos.invalid/" + "a" * 65_536,
    "64 KB without a scheme": "a" * 65_536,
    "64 KB of S3": "s3://photos/" + "a" * 65_536,
}
