from arcface_mx.symbols import cross_entropy, iresnet, margin_logits  # before mxnet: it prepares numpy
import mxnet as mx

data, label = mx.sym.Variable("data"), mx.sym.Variable("label")
embedding = iresnet(data, layers=18, embedding_size=64, width=0.125, input_size=32)
logits = margin_logits(embedding, label, num_classes=10, scale=16.0, m2=0.5)
net = mx.mod.Module(mx.sym.MakeLoss(cross_entropy(logits, label)), label_names=["label"])
pixels, identities = mx.nd.random.uniform(0, 255, (64, 3, 32, 32)), mx.nd.arange(64) % 10  # your faces here
faces = mx.io.NDArrayIter(pixels, identities, batch_size=32, label_name="label")
net.fit(faces, eval_metric=mx.metric.Loss(), num_epoch=5, initializer=mx.init.Xavier(), optimizer="adam")
print(net.score(faces, mx.metric.Loss()))  # [('loss', ...)]
