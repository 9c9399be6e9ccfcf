"""Certificates for tests of TLS."""

import subprocess


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


class Authority:
    """An authority of our own, and certificates that it gave."""

    def __init__(self, folder, name):
        self.folder, self.name, self.made = folder, name, 0
        self.file = folder / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", cwd=folder)

    def certificate(self, name, *validity):
        """name.crt and name.key, for localhost and 127.0.0.1; returns what a server needs of them."""
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", cwd=self.folder)
        (self.folder / "database").touch()
        (self.folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=one\n[one]\ndatabase=database\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n"
            "policy=any\ncopy_extensions=copy\nunique_subject=no\n[any]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-notext", "-config", "ca.conf", "-cert", f"{self.name}.pem", "-keyfile",
                f"{self.name}.key", *(validity or ("-days", "30")), "-in", f"{name}.csr", "-out", f"{name}.crt",
                cwd=self.folder)
        (self.folder / f"{name}.key").chmod(0o644)  # Apache's children are another user
        return {"ARAGORA_SSL_ENABLED": "true", "ARAGORA_SSL_CERT": str(self.folder / f"{name}.crt"),
                "ARAGORA_SSL_KEY": str(self.folder / f"{name}.key")}
