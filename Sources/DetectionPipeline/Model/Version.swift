/// The product's version, as `--version` and the socket's hello give it.
package let earshotVersion = "0.1.0"
