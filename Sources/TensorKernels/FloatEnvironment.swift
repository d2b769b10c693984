internal import CFloatEnvironment

/// Flushes subnormals to zero on the calling thread; each numeric thread calls it once as it starts.
package func flushSubnormals() {
    earshot_flush_subnormals()
}
