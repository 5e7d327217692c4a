/* Runs a SavedModel by TensorFlow's Java binding, which holds a TensorFlow of its own.

   usage: Session MODEL FILE...: for each FILE writes FILE.answer, the label map that `serve_bytes` gives. */

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.SessionFunction;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.types.TString;

public class Session {
  public static void main(String[] arguments) throws Exception {
    try (SavedModelBundle model = SavedModelBundle.load(arguments[0], "serve")) {
      SessionFunction label = model.function("serve_bytes");
      for (String name : Arrays.copyOfRange(arguments, 1, arguments.length)) {
        byte[] bytes = Files.readAllBytes(Path.of(name));
        try (TString sent = TString.tensorOfBytes(NdArrays.vectorOfObjects(bytes));
            Result found = label.call(Map.of("image_bytes", sent))) {
          TString labelMap = (TString) found.get("label_map_bytes").get();
          Files.write(Path.of(name + ".answer"), labelMap.asBytes().getObject(0));
        }
      }
    }
  }
}
