"""Writes weight files in the layout of Keras before version 3."""

import h5py


def write(path, weights, rename, *, layers=None, root="/", split=False):
    """Writes `weights` below `root`, variables named by `rename(layer, weight)`; returns the path.

    Args:
        path: Path of the file.
        weights: Arrays by 'layer/weight'.
        rename: Function of layer and weight that returns the variable's name in the file.
        layers: Names of all layers, also those without weights; by default those of the weights.
        root: Group that holds the layers.
        split: True to split the list of layers over two attributes, as Keras does if it is long.
    """
    layers = layers or list(dict.fromkeys(name.split("/")[0] for name in weights))
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        if split:
            group.attrs["layer_names0"] = [layer.encode() for layer in layers[:5]]
            group.attrs["layer_names1"] = [layer.encode() for layer in layers[5:]]
        else:
            group.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            arrays = {n.split("/")[1]: a for n, a in weights.items() if n.split("/")[0] == layer}
            subgroup = group.create_group(layer)
            names = [rename(layer, weight) for weight in arrays]
            subgroup.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, arrays.values(), strict=True):
                subgroup[name] = array
    return path
