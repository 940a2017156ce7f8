"""The compiled loops of bitseek: everything that must run at the speed of the machine, and nothing else.

    layout     codes as rows and planes, keys of hits, masks of removed items, clusters: NumPy only
    jit        numba behind one door: the decorator, popcount, the cache of compiled code, whether it is there at all
    threads    Python threads over compiled loops that have let go of the interpreter's lock
    distance   the next codes that are near enough: the inner loop of every search
    topk       the k nearest so far
    scan       k nearest and all within a radius, by looking at every code
    pruned     the same answers by clusters and the triangle inequality on shells
    plain      both in NumPy: where there is no compiler, and for the first searches of a process
    loading    when the compiled kernels are worth loading
    cluster    building those clusters
    merge      bringing sorted codes together, which is how those that memory cannot hold are sorted
    lookup     real-valued queries against codes, through tables of bytes
    histogram  histograms of distance and relevance, for the metrics
    umap       UMAP of umap-learn, with its compiled loops kept on disk

This package imports none of them, and all but `layout`, `threads`, `plain` and `loading` import numba, which takes half
a second: whoever must start quickly imports them in the function that needs them.
"""
